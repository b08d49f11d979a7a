-- Payments of the episode in which their account was stopped, and whether the clock puts them after the stop. Whether they were committed
-- after it, the binlog says; the clock counts only where the topics do not tell.
WITH change_of_flag AS (
  SELECT
    user_id,
    suspicious_activities AS stopped,
    changed_at,
    COALESCE(MAX(IF(suspicious_activities, NULL, change_id)) OVER (PARTITION BY user_id ORDER BY change_id), 0) AS episode
  FROM flag_changes
)
SELECT t.transaction_id, t.user_id, t.created_at, s.changed_at, t.created_at > s.changed_at
FROM change_of_flag AS s
JOIN transactions AS t USING (user_id)
LEFT JOIN payment_episodes AS e USING (transaction_id)
WHERE s.stopped AND COALESCE(e.episode, 0) = s.episode
ORDER BY t.transaction_id
