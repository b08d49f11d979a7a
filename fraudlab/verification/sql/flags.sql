-- Users whose flag is not what it must be: set exactly while the episode that began with the last reinstatement has an activity.
SELECT p.user_id, p.suspicious_activities AS is_set
FROM user_profile AS p
LEFT JOIN (
  SELECT user_id, MAX(change_id) AS episode FROM flag_changes WHERE NOT suspicious_activities GROUP BY user_id
) AS r USING (user_id)
LEFT JOIN (
  SELECT DISTINCT e.user_id, COALESCE(p.episode, 0) AS episode
  FROM expected AS e
  LEFT JOIN payment_episodes AS p ON p.transaction_id = e.known_by
) AS a ON a.user_id = p.user_id AND a.episode = COALESCE(r.episode, 0)
WHERE (p.suspicious_activities <> 0) <> (a.user_id IS NOT NULL)
ORDER BY p.user_id
