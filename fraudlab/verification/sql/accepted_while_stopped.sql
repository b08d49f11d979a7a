-- Payments that the database's clock places between the stop of an account and its end.
WITH account AS (
  SELECT user_id, suspicious_activities AS stopped, changed_at AS since, change_id FROM flag_changes
  UNION ALL
  SELECT user_id, FALSE, deleted_at, 0 FROM deleted_users
),
state AS (
  SELECT user_id, stopped, since, LEAD(since) OVER (PARTITION BY user_id ORDER BY since, change_id) AS until
  FROM account
)
SELECT t.transaction_id, t.user_id, t.created_at, s.since
FROM state AS s
JOIN transactions AS t ON t.user_id = s.user_id AND t.created_at > s.since AND t.created_at < COALESCE(s.until, '9999-12-31')
WHERE s.stopped
ORDER BY t.transaction_id
