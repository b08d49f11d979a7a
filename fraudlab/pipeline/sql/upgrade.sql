-- What the tables of an earlier version lack, filled in from their history while they are locked; the triggers are created after it.
-- That version recorded no order of payments and reinstatements: for its rows the clock must do. No table is named twice in a statement,
-- because each of them is locked under its name alone.
ALTER TABLE ${database}.user_profile MODIFY created_at TIMESTAMP(3) NOT NULL DEFAULT '2000-01-01', MODIFY updated_at TIMESTAMP(3) NOT NULL DEFAULT '2000-01-01'
//
ALTER TABLE ${database}.transactions MODIFY created_at TIMESTAMP(3) NOT NULL DEFAULT '2000-01-01'
//
ALTER TABLE ${database}.declined_transactions MODIFY declined_at TIMESTAMP(3) NOT NULL DEFAULT '2000-01-01'
//
UPDATE ${database}.flag_changes SET suspicious_activities = TRUE WHERE suspicious_activities NOT IN (0, 1)
//
INSERT INTO ${database}.account_states (user_id, episode, change_id)
SELECT user_id, COALESCE(MAX(IF(suspicious_activities, NULL, change_id)), 0), MAX(change_id)
FROM ${database}.flag_changes
GROUP BY user_id
ON DUPLICATE KEY UPDATE episode = VALUES(episode), change_id = VALUES(change_id)
//
UPDATE ${database}.account_states
SET stopped = COALESCE(change_id IN (SELECT change_id FROM ${database}.flag_changes WHERE suspicious_activities), FALSE)
//
-- Where there is a profile, it says whether the account is stopped.
INSERT INTO ${database}.account_states (user_id, stopped)
SELECT user_id, suspicious_activities <> 0 FROM ${database}.user_profile
ON DUPLICATE KEY UPDATE stopped = VALUES(stopped)
//
INSERT IGNORE INTO ${database}.account_states (user_id) SELECT DISTINCT user_id FROM ${database}.transactions
//
INSERT IGNORE INTO ${database}.payment_episodes (transaction_id, episode)
SELECT transaction_id, MAX(change_id)
FROM ${database}.transactions
JOIN ${database}.flag_changes USING (user_id)
WHERE NOT suspicious_activities AND changed_at < created_at
GROUP BY transaction_id
//
INSERT IGNORE INTO ${database}.payment_episodes (transaction_id, episode)
SELECT transaction_id, MAX(change_id)
FROM ${database}.deleted_transactions
JOIN ${database}.flag_changes USING (user_id)
WHERE NOT suspicious_activities AND changed_at < created_at
GROUP BY transaction_id
//
