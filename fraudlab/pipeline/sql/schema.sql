-- The payment database. ${database} is filled in; statements end with a line that holds only //
CREATE DATABASE IF NOT EXISTS ${database} CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci
//
-- created_at, updated_at and declined_at come from triggers: MySQL would fill in a default of CURRENT_TIMESTAMP after them, by the clock that
-- a client may have set.
CREATE TABLE IF NOT EXISTS ${database}.user_profile (
  user_id INT NOT NULL PRIMARY KEY,
  first_name VARCHAR(100),
  last_name VARCHAR(100),
  email VARCHAR(254),
  phone_number VARCHAR(40),
  home_country CHAR(2),
  suspicious_activities BOOLEAN NOT NULL DEFAULT FALSE,
  created_at TIMESTAMP(3) NOT NULL DEFAULT '2000-01-01',
  updated_at TIMESTAMP(3) NOT NULL DEFAULT '2000-01-01'
)
//
-- payment_key is made by the client that pays, a UUID: a payment that it sends again, as the answer was lost, is refused as a duplicate.
-- A client that gives none has to know by itself what it has paid.
CREATE TABLE IF NOT EXISTS ${database}.transactions (
  transaction_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  payment_key CHAR(36) CHARACTER SET ascii COLLATE ascii_bin UNIQUE,
  user_id INT NOT NULL,
  amount DECIMAL(12,2),
  currency CHAR(3),
  type VARCHAR(32),
  country CHAR(2),
  merchant VARCHAR(120),
  transaction_time TIMESTAMP(3) NULL,
  created_at TIMESTAMP(3) NOT NULL DEFAULT '2000-01-01',
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
  payment_key CHAR(36) CHARACTER SET ascii COLLATE ascii_bin UNIQUE,
  user_id INT NOT NULL,
  amount DECIMAL(12,2),
  currency CHAR(3),
  type VARCHAR(32),
  country CHAR(2),
  merchant VARCHAR(120),
  transaction_time TIMESTAMP(3) NULL,
  reason VARCHAR(255) NOT NULL,
  scenario VARCHAR(32),
  declined_at TIMESTAMP(3) NOT NULL DEFAULT '2000-01-01',
  -- The last change of the account's flag, in flag_changes, when this was noted; the database fills it in.
  change_id BIGINT,
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
  payment_key CHAR(36) CHARACTER SET ascii COLLATE ascii_bin,
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
-- Whether an account is stopped, the episode it is in (the change_id of its last reinstatement, 0 before the first) and the last change
-- of its flag. Written by triggers only. A row outlives the profile: only a reinstatement ends a stop.
CREATE TABLE IF NOT EXISTS ${database}.account_states (
  user_id INT NOT NULL PRIMARY KEY,
  stopped BOOLEAN NOT NULL DEFAULT FALSE,
  episode BIGINT NOT NULL DEFAULT 0,
  change_id BIGINT
)
//
-- The episode in which the database took a payment, where it is not the account's first. Written by a trigger; kept when the payment goes.
CREATE TABLE IF NOT EXISTS ${database}.payment_episodes (
  transaction_id BIGINT NOT NULL PRIMARY KEY,
  episode BIGINT NOT NULL
)
//
-- Always empty. Its foreign keys make MySQL refuse TRUNCATE, which runs no trigger, is in no row-based binlog and starts ids anew; the
-- constraint's name is in the message.
CREATE TABLE IF NOT EXISTS ${database}.truncate_guard (
  transaction_id BIGINT,
  user_id INT,
  CONSTRAINT use_delete_because_truncate_would_leave_no_history_of_payments FOREIGN KEY (transaction_id)
    REFERENCES ${database}.transactions (transaction_id),
  CONSTRAINT use_delete_because_truncate_would_leave_no_history_of_users FOREIGN KEY (user_id)
    REFERENCES ${database}.user_profile (user_id)
)
//
-- Called by every trigger of the two captured tables, once a statement: refuses what a session hides from change data capture, or makes
-- it see wrongly. An XA transaction is one: the binlog has it once it is prepared, and readers take it for committed. Where
-- performance_schema is off, XA cannot be seen here; `fraudlab verify` finds what was rolled back.
-- @fraudlab_checked is the start of the statement that was looked at, in seconds; not kept where the client has set the clock.
CREATE PROCEDURE ${database}.require_plain_session()
BEGIN
  IF @@session.sql_log_bin = 0 OR @@session.binlog_format <> 'ROW' OR @@session.binlog_row_image <> 'FULL' THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'refused, as it would not be captured: this session needs sql_log_bin = 1, binlog_format = ROW, binlog_row_image = FULL';
  END IF;
  IF @@session.insert_id <> 0 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused: ids come from the database alone, so do not SET INSERT_ID';
  END IF;
  IF EXISTS (
    SELECT 1
    FROM performance_schema.threads AS t
    JOIN performance_schema.events_transactions_current AS e USING (thread_id)
    WHERE t.processlist_id = CONNECTION_ID() AND e.xid_format_id IS NOT NULL
  ) THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'refused: change data capture does not see an XA transaction rolled back; use START TRANSACTION';
  END IF;
  SET @fraudlab_checked = IF(ABS(UNIX_TIMESTAMP(SYSDATE(6)) - @@session.timestamp) < 1, @@session.timestamp, NULL);
END
//
-- A procedure of its own: in the trigger, its INSERT would make the trigger's shared lock on this table an exclusive one.
CREATE PROCEDURE ${database}.add_account_state(new_user_id INT)
  INSERT IGNORE INTO ${database}.account_states (user_id) VALUES (new_user_id)
//
-- Locks the rows that setting a stop changes, for the transaction of the flagger that calls it, and says in @fraudlab_is_free whether it
-- could. Another session's lock is not waited for, unless the caller says so. Its own grants do not let the flagger lock account_states.
CREATE PROCEDURE ${database}.lock_account(account INT, waits BOOLEAN)
BEGIN
  DECLARE is_known, has_profile BOOLEAN;
  SELECT COUNT(*) INTO is_known FROM ${database}.account_states WHERE user_id = account;
  IF NOT is_known THEN
    CALL ${database}.add_account_state(account);
  END IF;
  IF waits THEN
    SELECT COUNT(*) INTO has_profile FROM ${database}.user_profile WHERE user_id = account FOR UPDATE;
    SELECT COUNT(*) INTO @fraudlab_is_free FROM ${database}.account_states WHERE user_id = account FOR UPDATE;
  ELSE
    SELECT COUNT(*) INTO @fraudlab_is_free FROM ${database}.account_states WHERE user_id = account FOR UPDATE SKIP LOCKED;
    SELECT COUNT(*) INTO has_profile FROM ${database}.user_profile WHERE user_id = account;
    IF has_profile AND @fraudlab_is_free THEN
      SELECT COUNT(*) INTO @fraudlab_is_free FROM ${database}.user_profile WHERE user_id = account FOR UPDATE SKIP LOCKED;
    END IF;
  END IF;
END
//
-- Stops an account whose profile is gone, unless it was reinstated after this payment: the stop is there when the profile comes again.
-- With a lock on its state no profile can come meanwhile.
CREATE PROCEDURE ${database}.stop_closed(account INT, payment BIGINT)
BEGIN
  DECLARE is_stopped, has_profile BOOLEAN;
  DECLARE current_episode, of_payment BIGINT;
  SELECT stopped, episode INTO is_stopped, current_episode FROM ${database}.account_states WHERE user_id = account FOR UPDATE;
  SELECT COUNT(*) INTO has_profile FROM ${database}.user_profile WHERE user_id = account;
  SELECT COALESCE(MAX(episode), 0) INTO of_payment FROM ${database}.payment_episodes WHERE transaction_id = payment;
  IF NOT is_stopped AND NOT has_profile AND current_episode = of_payment THEN
    INSERT INTO ${database}.flag_changes (user_id, suspicious_activities, changed_at) VALUES (account, TRUE, SYSDATE(3));
    UPDATE ${database}.account_states SET stopped = TRUE, change_id = LAST_INSERT_ID() WHERE user_id = account;
  END IF;
END
//
-- Interrupts what a session of the caller's own account does. A plain KILL is refused while that runs a trigger: then MySQL takes the
-- session, in the process list, too, for that of the trigger's definer.
CREATE PROCEDURE ${database}.interrupt_own(session BIGINT)
BEGIN
  IF EXISTS (
    SELECT 1
    FROM performance_schema.threads
    WHERE processlist_id = session AND processlist_user = SUBSTRING_INDEX(USER(), '@', 1)
  ) THEN
    KILL QUERY session;
  END IF;
END
//
-- Triggers that are there and the same are left alone: between a drop and a create, what they refuse would pass.
-- The locking read sees a stop committed a moment ago, also from inside a transaction that began before; a plain read would not. It
-- locks the row of account_states until the transaction ends, so the order of payments and flag changes is that of their commits. It is
-- asked only for a row that is there: without one it would lock the gap, and with it the opening of other accounts. (Whether one is there
-- must be a SELECT of its own: InnoDB locks what a subquery reads, be it only the condition of an IF.)
CREATE TRIGGER ${database}.refuse_flagged BEFORE INSERT ON ${database}.transactions FOR EACH ROW
BEGIN
  DECLARE is_known, is_stopped, is_repeated BOOLEAN;
  IF NOT @fraudlab_checked <=> @@session.timestamp THEN
    CALL ${database}.require_plain_session();
  END IF;
  IF NEW.transaction_id <> 0 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'payment refused: its transaction_id comes from the database alone; leave it out';
  ELSEIF COALESCE(NEW.user_id, 0) NOT BETWEEN 1 AND 2147483646 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'payment refused: user_id must be between 1 and 2147483646';
  ELSEIF ABS(NEW.amount) = 9999999999.99 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'payment refused: the amount is too large for the table';
  ELSEIF UNIX_TIMESTAMP(NEW.transaction_time) = 0 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      "payment refused: transaction_time must be a time from 1970 to 2038, like '2026-12-31 23:59:59', or NULL";
  END IF;
  SELECT COUNT(*) INTO is_known FROM ${database}.account_states WHERE user_id = NEW.user_id;
  IF NOT is_known THEN
    CALL ${database}.add_account_state(NEW.user_id);
  END IF;
  SELECT stopped, episode INTO is_stopped, @fraudlab_episode
  FROM ${database}.account_states WHERE user_id = NEW.user_id FOR SHARE;
  IF is_stopped THEN
    -- A payment that was made before the stop, and is sent again, is a duplicate: its client must not believe that it was refused.
    SELECT COUNT(*) INTO is_repeated FROM ${database}.transactions WHERE payment_key = NEW.payment_key FOR SHARE;
    IF NOT is_repeated THEN
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'payment refused: the account is stopped because of suspicious activities';
    END IF;
  END IF;
  SET NEW.created_at = SYSDATE(3);
END
//
CREATE TRIGGER ${database}.note_episode AFTER INSERT ON ${database}.transactions FOR EACH ROW
BEGIN
  IF NEW.transaction_id <= 0 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'payment refused: its transaction_id would be 0; leave it out, do not SET INSERT_ID, and begin a new session';
  ELSEIF @fraudlab_episode > 0 THEN
    INSERT INTO ${database}.payment_episodes (transaction_id, episode) VALUES (NEW.transaction_id, @fraudlab_episode);
  END IF;
END
//
CREATE TRIGGER ${database}.payments_are_final BEFORE UPDATE ON ${database}.transactions FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'a payment is never changed: insert a payment that corrects it'
//
CREATE TRIGGER ${database}.refuse_uncaptured_deletion BEFORE DELETE ON ${database}.transactions FOR EACH ROW
  IF NOT @fraudlab_checked <=> @@session.timestamp THEN
    CALL ${database}.require_plain_session();
  END IF
//
CREATE TRIGGER ${database}.keep_deleted_transaction AFTER DELETE ON ${database}.transactions FOR EACH ROW
  INSERT INTO ${database}.deleted_transactions
    (transaction_id, payment_key, user_id, amount, currency, type, country, merchant, transaction_time, created_at, deleted_at)
  VALUES (OLD.transaction_id, OLD.payment_key, OLD.user_id, OLD.amount, OLD.currency, OLD.type, OLD.country, OLD.merchant,
          OLD.transaction_time, OLD.created_at, SYSDATE(3))
//
-- An account that was stopped and comes again, by whatever statement, is stopped.
CREATE TRIGGER ${database}.keep_stop BEFORE INSERT ON ${database}.user_profile FOR EACH ROW
BEGIN
  DECLARE is_known, is_stopped BOOLEAN;
  IF NOT @fraudlab_checked <=> @@session.timestamp THEN
    CALL ${database}.require_plain_session();
  END IF;
  IF COALESCE(NEW.user_id, 0) NOT BETWEEN 1 AND 2147483646 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'account refused: user_id must be between 1 and 2147483646';
  END IF;
  SELECT COUNT(*) INTO is_known FROM ${database}.account_states WHERE user_id = NEW.user_id;
  IF NOT is_known THEN
    CALL ${database}.add_account_state(NEW.user_id);
  END IF;
  SELECT stopped INTO is_stopped FROM ${database}.account_states WHERE user_id = NEW.user_id FOR SHARE;
  IF NEW.suspicious_activities AND NOT is_stopped THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'account refused: none is opened stopped; insert it with suspicious_activities = FALSE, then UPDATE it';
  END IF;
  SET NEW.suspicious_activities = is_stopped, NEW.created_at = SYSDATE(3), NEW.updated_at = NEW.created_at;
END
//
-- Texts are compared as bytes: what the collation takes for equal is a change all the same.
CREATE TRIGGER ${database}.profiles_keep_their_user BEFORE UPDATE ON ${database}.user_profile FOR EACH ROW
BEGIN
  IF NOT @fraudlab_checked <=> @@session.timestamp THEN
    CALL ${database}.require_plain_session();
  END IF;
  IF NEW.user_id <> OLD.user_id THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'a user_id is never changed: payments and stops belong to it; open another account';
  END IF;
  SET NEW.suspicious_activities = NEW.suspicious_activities <> 0, NEW.created_at = OLD.created_at;
  SET NEW.updated_at = IF(
    NEW.suspicious_activities = OLD.suspicious_activities
      AND BINARY NEW.first_name <=> BINARY OLD.first_name AND BINARY NEW.last_name <=> BINARY OLD.last_name
      AND BINARY NEW.email <=> BINARY OLD.email AND BINARY NEW.phone_number <=> BINARY OLD.phone_number
      AND BINARY NEW.home_country <=> BINARY OLD.home_country,
    OLD.updated_at,
    SYSDATE(3)
  );
END
//
CREATE TRIGGER ${database}.record_flag_change AFTER UPDATE ON ${database}.user_profile FOR EACH ROW
  IF (OLD.suspicious_activities <> 0) <> NEW.suspicious_activities THEN
    INSERT INTO ${database}.flag_changes (user_id, suspicious_activities, changed_at)
    VALUES (NEW.user_id, NEW.suspicious_activities, SYSDATE(3));
    INSERT INTO ${database}.account_states (user_id, stopped, episode, change_id)
    VALUES (NEW.user_id, NEW.suspicious_activities, IF(NEW.suspicious_activities, 0, LAST_INSERT_ID()), LAST_INSERT_ID())
    ON DUPLICATE KEY UPDATE
      stopped = NEW.suspicious_activities,
      episode = IF(NEW.suspicious_activities, episode, LAST_INSERT_ID()),
      change_id = LAST_INSERT_ID();
  END IF
//
CREATE TRIGGER ${database}.refuse_uncaptured_closing BEFORE DELETE ON ${database}.user_profile FOR EACH ROW
  IF NOT @fraudlab_checked <=> @@session.timestamp THEN
    CALL ${database}.require_plain_session();
  END IF
//
CREATE TRIGGER ${database}.keep_deleted_user AFTER DELETE ON ${database}.user_profile FOR EACH ROW
  INSERT INTO ${database}.deleted_users (user_id, deleted_at) VALUES (OLD.user_id, SYSDATE(3))
//
-- Whoever was refused has locked the account's row already, if it is the same transaction; a lookup first, so that no gap is locked.
CREATE TRIGGER ${database}.note_last_change BEFORE INSERT ON ${database}.declined_transactions FOR EACH ROW
BEGIN
  DECLARE is_known BOOLEAN;
  DECLARE last_change BIGINT;
  SELECT COUNT(*) INTO is_known FROM ${database}.account_states WHERE user_id = NEW.user_id;
  IF is_known THEN
    SELECT change_id INTO last_change FROM ${database}.account_states WHERE user_id = NEW.user_id FOR SHARE;
  END IF;
  SET NEW.change_id = last_change, NEW.declined_at = SYSDATE(3);
END
//
-- Stops that are due and cannot be set yet, because another session holds a lock that they need; kept by the flagger. `known_by` is the
-- payment that made the user's newest activity known: one of an earlier episode still stops nobody. Never captured.
CREATE TABLE IF NOT EXISTS ${database}.due_stops (
  user_id INT NOT NULL PRIMARY KEY,
  known_by BIGINT NOT NULL,
  since TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  attempts INT NOT NULL DEFAULT 0,
  reason VARCHAR(500) NOT NULL
)
//
