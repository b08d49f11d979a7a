-- Refused payments of accounts that were not stopped. The client notes the refusal a moment later: hence one second of grace.
WITH account AS (
  SELECT user_id, suspicious_activities AS stopped, changed_at AS since, change_id FROM flag_changes
  UNION ALL
  SELECT user_id, FALSE, deleted_at, 0 FROM deleted_users
),
state AS (
  SELECT user_id, stopped, since, LEAD(since) OVER (PARTITION BY user_id ORDER BY since, change_id) AS until
  FROM account
)
SELECT d.declined_id, d.user_id, d.declined_at
FROM declined_transactions AS d
LEFT JOIN state AS s
  ON s.user_id = d.user_id AND s.stopped
  AND d.declined_at >= s.since - INTERVAL 1 SECOND
  AND d.declined_at <= COALESCE(s.until, '9999-12-31') + INTERVAL 1 SECOND
WHERE s.user_id IS NULL
ORDER BY d.declined_id
