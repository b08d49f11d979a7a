-- Who must be told of what: each user's episodes with an activity. An episode begins with a reinstatement (0: with the account).
SELECT DISTINCT
  e.user_id,
  (
    SELECT COALESCE(MAX(f.change_id), 0)
    FROM flag_changes AS f
    WHERE f.user_id = e.user_id AND NOT f.suspicious_activities AND UNIX_TIMESTAMP(f.changed_at) * 1000 < e.known_ms
  ) AS episode
FROM expected AS e
