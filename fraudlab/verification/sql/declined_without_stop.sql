-- Refused payments of accounts that were not stopped. The client notes a refusal a moment later: then the last change of the flag may be
-- a reinstatement already, hence one second of grace. An earlier version noted no last change: there the clock must do.
WITH state AS (
  SELECT
    user_id,
    suspicious_activities AS stopped,
    changed_at AS since,
    LEAD(changed_at) OVER (PARTITION BY user_id ORDER BY change_id) AS until
  FROM flag_changes
)
SELECT d.declined_id, d.user_id
FROM declined_transactions AS d
LEFT JOIN flag_changes AS f USING (change_id)
WHERE CASE
  WHEN f.change_id IS NOT NULL THEN NOT f.suspicious_activities AND d.declined_at > f.changed_at + INTERVAL 1 SECOND
  ELSE NOT EXISTS (
    SELECT 1
    FROM state AS s
    WHERE s.user_id = d.user_id AND s.stopped
      AND d.declined_at >= s.since - INTERVAL 1 SECOND
      AND (s.until IS NULL OR d.declined_at <= s.until + INTERVAL 1 SECOND)
  )
END
ORDER BY d.declined_id
