-- The payment database. ${database} is filled in; statements end with a line that holds only //
CREATE DATABASE IF NOT EXISTS ${database} CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci
//
CREATE TABLE IF NOT EXISTS ${database}.user_profile (
  user_id INT NOT NULL PRIMARY KEY,
  first_name VARCHAR(100),
  last_name VARCHAR(100),
  email VARCHAR(254),
  phone_number VARCHAR(40),
  home_country CHAR(2),
  suspicious_activities BOOLEAN NOT NULL DEFAULT FALSE,
  created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)
)
//
CREATE TABLE IF NOT EXISTS ${database}.transactions (
  transaction_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  user_id INT NOT NULL,
  amount DECIMAL(12,2),
  currency CHAR(3),
  type VARCHAR(32),
  country CHAR(2),
  merchant VARCHAR(120),
  transaction_time TIMESTAMP(3) NULL,
  created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  KEY user_time (user_id, transaction_time)
)
//
-- What the generator knows and the pipeline must find out. Never captured.
CREATE TABLE IF NOT EXISTS ${database}.fraud_labels (
  transaction_id BIGINT NOT NULL PRIMARY KEY,
  scenario VARCHAR(32) NOT NULL
)
//
CREATE TABLE IF NOT EXISTS ${database}.declined_transactions (
  declined_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  user_id INT NOT NULL,
  amount DECIMAL(12,2),
  currency CHAR(3),
  type VARCHAR(32),
  country CHAR(2),
  merchant VARCHAR(120),
  transaction_time TIMESTAMP(3) NULL,
  reason VARCHAR(255) NOT NULL,
  scenario VARCHAR(32),
  declined_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  KEY user_declined (user_id, declined_at)
)
//
-- When an account was stopped and when it was reinstated; written by the database itself. An episode lies between two reinstatements.
CREATE TABLE IF NOT EXISTS ${database}.flag_changes (
  change_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  user_id INT NOT NULL,
  suspicious_activities BOOLEAN NOT NULL,
  changed_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  KEY user_changed (user_id, changed_at)
)
//
-- Who was told of which episode, and by which channel (email, push): claimed by the notifier before it sends. `episode` is the change_id
-- of the reinstatement that the episode began with, 0 for a user's first. `status` is pending until the message is sent, undeliverable or
-- withheld (the limit per person and hour). Never captured.
CREATE TABLE IF NOT EXISTS ${database}.notifications (
  notification_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  user_id INT NOT NULL,
  episode BIGINT NOT NULL,
  channel VARCHAR(16) NOT NULL,
  activity_id VARCHAR(64) NOT NULL,
  activity JSON NOT NULL,
  source_partition INT NOT NULL,
  source_offset BIGINT NOT NULL,
  message_id CHAR(32) NOT NULL,
  status VARCHAR(16) NOT NULL DEFAULT 'pending',
  reason VARCHAR(500),
  attempts INT NOT NULL DEFAULT 0,
  created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  next_attempt_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  sent_at TIMESTAMP(3) NULL,
  UNIQUE KEY once (user_id, episode, channel),
  KEY due (channel, status, next_attempt_at),
  KEY newest_of_status (status, notification_id)
)
//
-- A deleted payment was made all the same: its row moves here, so that what was decided on it can still be recomputed.
CREATE TABLE IF NOT EXISTS ${database}.deleted_transactions (
  transaction_id BIGINT NOT NULL PRIMARY KEY,
  user_id INT NOT NULL,
  amount DECIMAL(12,2),
  currency CHAR(3),
  type VARCHAR(32),
  country CHAR(2),
  merchant VARCHAR(120),
  transaction_time TIMESTAMP(3) NULL,
  created_at TIMESTAMP(3) NOT NULL,
  deleted_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
)
//
CREATE TABLE IF NOT EXISTS ${database}.deleted_users (
  deletion_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  user_id INT NOT NULL,
  deleted_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
)
//
-- Triggers that are there and the same are left alone: between a drop and a create, what they refuse would pass.
-- The locking read sees a flag committed a moment ago, also from inside a transaction that began before; a plain read would not.
CREATE TRIGGER ${database}.refuse_flagged BEFORE INSERT ON ${database}.transactions FOR EACH ROW
BEGIN
  DECLARE flagged BOOLEAN DEFAULT FALSE;
  DECLARE CONTINUE HANDLER FOR NOT FOUND BEGIN END;
  SELECT suspicious_activities INTO flagged FROM ${database}.user_profile WHERE user_id = NEW.user_id FOR SHARE;
  IF flagged THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'payment refused: the account is stopped because of suspicious activities';
  END IF;
END
//
CREATE TRIGGER ${database}.payments_are_final BEFORE UPDATE ON ${database}.transactions FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'a payment is never changed: insert a payment that corrects it'
//
CREATE TRIGGER ${database}.keep_deleted_transaction AFTER DELETE ON ${database}.transactions FOR EACH ROW
  INSERT INTO ${database}.deleted_transactions
    (transaction_id, user_id, amount, currency, type, country, merchant, transaction_time, created_at)
  VALUES (OLD.transaction_id, OLD.user_id, OLD.amount, OLD.currency, OLD.type, OLD.country, OLD.merchant,
          OLD.transaction_time, OLD.created_at)
//
CREATE TRIGGER ${database}.keep_deleted_user AFTER DELETE ON ${database}.user_profile FOR EACH ROW
  INSERT INTO ${database}.deleted_users (user_id) VALUES (OLD.user_id)
//
CREATE TRIGGER ${database}.record_flag_change AFTER UPDATE ON ${database}.user_profile FOR EACH ROW
  IF OLD.suspicious_activities <> NEW.suspicious_activities THEN
    INSERT INTO ${database}.flag_changes (user_id, suspicious_activities) VALUES (NEW.user_id, NEW.suspicious_activities);
  END IF
//
-- Stops that are due and cannot be set yet, because another session holds a lock that they need; kept by the flagger. `known_at` is when
-- the user's newest activity became known: an earlier episode's still stops nobody. Never captured.
CREATE TABLE IF NOT EXISTS ${database}.due_stops (
  user_id INT NOT NULL PRIMARY KEY,
  known_at DATETIME(3) NOT NULL,
  since TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  attempts INT NOT NULL DEFAULT 0,
  reason VARCHAR(500) NOT NULL
)
//
