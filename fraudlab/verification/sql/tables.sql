-- Where the recomputation keeps its steps. MySQL cannot read a temporary table twice in one query, hence the two copies of `counting`.
-- Codes are compared as bytes: the database's collation would take "eur" for "EUR".
CREATE TEMPORARY TABLE rate (currency VARBINARY(12) NOT NULL PRIMARY KEY, eur_per_unit DECIMAL(18,8) NOT NULL)
//
CREATE TEMPORARY TABLE country (code VARBINARY(8) NOT NULL PRIMARY KEY)
//
-- Deleted payments whose insertion was captured, so that the pipeline could know them.
CREATE TEMPORARY TABLE captured_deleted (transaction_id BIGINT NOT NULL PRIMARY KEY)
//
-- Payments that do not count because their records were skipped.
CREATE TEMPORARY TABLE uncounted (transaction_id BIGINT NOT NULL PRIMARY KEY)
//
-- Users whose profile the join may not have had, because its record was skipped.
CREATE TEMPORARY TABLE without_profile (user_id BIGINT NOT NULL PRIMARY KEY)
//
-- Payments that the detector got without their users' profiles.
CREATE TEMPORARY TABLE joined_alone (transaction_id BIGINT NOT NULL PRIMARY KEY)
//
-- Payments that came after one with a higher id: behind which, and in which place behind it.
CREATE TEMPORARY TABLE overtaken (transaction_id BIGINT NOT NULL PRIMARY KEY, after_id BIGINT NOT NULL, place INT NOT NULL)
//
-- The payments whose activity is in the topic.
CREATE TEMPORARY TABLE raised (transaction_id BIGINT NOT NULL PRIMARY KEY)
//
-- Every payment, with what keeps it from counting (NULL: it counts), and its number in the order in which the bank took them.
-- Times in milliseconds since the epoch.
CREATE TEMPORARY TABLE judged (
  transaction_id BIGINT NOT NULL PRIMARY KEY,
  user_id INT NOT NULL,
  event_ms BIGINT,
  created_ms BIGINT NOT NULL,
  country CHAR(2) CHARACTER SET ascii COLLATE ascii_bin,
  eur_cents BIGINT,
  fault VARCHAR(32),
  arrival BIGINT NOT NULL
)
//
CREATE TEMPORARY TABLE counting (
  transaction_id BIGINT NOT NULL PRIMARY KEY,
  user_id INT NOT NULL,
  event_ms BIGINT NOT NULL,
  -- The window's length divides time into spans; a window lies in the span of its end and the one before.
  span BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  country CHAR(2) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  eur_cents BIGINT NOT NULL,
  arrival BIGINT NOT NULL,
  KEY user_span (user_id, span, event_ms)
)
//
CREATE TEMPORARY TABLE counting_again LIKE counting
//
CREATE TEMPORARY TABLE span_before (spans INT NOT NULL PRIMARY KEY)
//
-- The activities that must exist, one for each payment whose window meets the rule.
CREATE TEMPORARY TABLE suspicious (
  transaction_id BIGINT NOT NULL PRIMARY KEY,
  user_id INT NOT NULL,
  event_ms BIGINT NOT NULL,
  span BIGINT NOT NULL,
  arrival BIGINT NOT NULL
)
//
-- … and with which payment each became known.
CREATE TEMPORARY TABLE expected (
  transaction_id BIGINT NOT NULL PRIMARY KEY,
  user_id INT NOT NULL,
  known_by BIGINT NOT NULL,
  known_ms BIGINT NOT NULL,
  transaction_ids TEXT NOT NULL,
  transaction_count INT NOT NULL,
  total_cents BIGINT NOT NULL,
  countries TEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL
)
//
-- Those of which nobody could be told in time.
CREATE TEMPORARY TABLE given_up (transaction_id BIGINT NOT NULL PRIMARY KEY)
//
