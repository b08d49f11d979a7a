-- One account a job, each with the least it needs. ${database} and the account names are filled in; passwords are set by the caller.
-- Who inserts sets neither ids of payments nor created_at: only the database's own counter and clock tell in what order it took what.
GRANT INSERT (user_id, first_name, last_name, email, phone_number, home_country),
  SELECT (user_id, first_name, last_name, home_country, suspicious_activities) ON ${database}.user_profile TO ${generator}
//
GRANT INSERT (payment_key, user_id, amount, currency, type, country, merchant, transaction_time) ON ${database}.transactions TO ${generator}
//
GRANT INSERT ON ${database}.fraud_labels TO ${generator}
//
GRANT INSERT ON ${database}.declined_transactions TO ${generator}
//
GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO ${cdc}
//
GRANT SELECT ON ${database}.user_profile TO ${cdc}
//
GRANT SELECT ON ${database}.transactions TO ${cdc}
//
GRANT SELECT (user_id, suspicious_activities), UPDATE (suspicious_activities) ON ${database}.user_profile TO ${flagger}
//
GRANT SELECT ON ${database}.flag_changes TO ${flagger}
//
GRANT SELECT ON ${database}.account_states TO ${flagger}
//
GRANT SELECT ON ${database}.payment_episodes TO ${flagger}
//
GRANT SELECT ON ${database}.flag_changes TO ${notifier}
//
GRANT SELECT ON ${database}.payment_episodes TO ${notifier}
//
GRANT SELECT (user_id, home_country) ON ${database}.user_profile TO ${notifier}
//
GRANT SELECT (transaction_id, user_id, amount, currency, country, merchant, transaction_time)
  ON ${database}.transactions TO ${notifier}
//
GRANT SELECT, INSERT, UPDATE (status, attempts, next_attempt_at, sent_at, reason) ON ${database}.notifications TO ${notifier}
//
GRANT SELECT ON ${database}.user_profile TO ${analytics}
//
GRANT SELECT ON ${database}.transactions TO ${analytics}
//
GRANT SELECT ON ${database}.fraud_labels TO ${analytics}
//
GRANT SELECT ON ${database}.declined_transactions TO ${analytics}
//
GRANT SELECT ON ${database}.flag_changes TO ${analytics}
//
GRANT SELECT ON ${database}.notifications TO ${analytics}
//
GRANT SELECT ON ${database}.deleted_transactions TO ${analytics}
//
GRANT SELECT ON ${database}.deleted_users TO ${analytics}
//
GRANT SELECT, CREATE TEMPORARY TABLES ON ${database}.* TO ${operator}
//
GRANT UPDATE (suspicious_activities) ON ${database}.user_profile TO ${operator}
//
-- Whoever works through the labs looks at everything, and plays the bank's clerk: opens, changes and closes accounts, makes payments.
GRANT SELECT, CREATE TEMPORARY TABLES ON ${database}.* TO ${learner}
//
GRANT INSERT, UPDATE, DELETE ON ${database}.user_profile TO ${learner}
//
-- In Lab 02 they add a column to this table while it is captured. MySQL wants CREATE for it, too.
GRANT CREATE, ALTER ON ${database}.user_profile TO ${learner}
//
GRANT INSERT (payment_key, user_id, amount, currency, type, country, merchant, transaction_time), DELETE ON ${database}.transactions TO ${learner}
//
GRANT SELECT, INSERT, UPDATE, DELETE ON ${database}.due_stops TO ${flagger}
//
GRANT SELECT ON ${database}.due_stops TO ${analytics}
//
GRANT EXECUTE ON PROCEDURE ${database}.lock_account TO ${flagger}
//
GRANT EXECUTE ON PROCEDURE ${database}.stop_closed TO ${flagger}
//
GRANT EXECUTE ON PROCEDURE ${database}.interrupt_own TO ${flagger}
//
