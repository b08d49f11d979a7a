-- Users whose flag is not what it must be: set exactly while an activity became known after the last reinstatement.
SELECT p.user_id, p.suspicious_activities AS is_set
FROM user_profile AS p
LEFT JOIN (SELECT user_id, MAX(known_ms) AS known_ms FROM expected GROUP BY user_id) AS e USING (user_id)
LEFT JOIN (
  SELECT user_id, MAX(CAST(UNIX_TIMESTAMP(changed_at) * 1000 AS SIGNED)) AS reinstated_ms
  FROM flag_changes
  WHERE NOT suspicious_activities
  GROUP BY user_id
) AS r USING (user_id)
WHERE p.suspicious_activities <> COALESCE(e.known_ms > COALESCE(r.reinstated_ms, -1), FALSE)
ORDER BY p.user_id
