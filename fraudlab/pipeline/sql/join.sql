-- The Debezium envelopes of both topics, read as tables that change.
CREATE TABLE user_profile (
  user_id INT,
  first_name STRING,
  last_name STRING,
  email STRING,
  phone_number STRING,
  home_country STRING,
  -- MySQL's BOOLEAN is TINYINT(1): Debezium sends 0 or 1, which the JSON format would read into a BOOLEAN as false.
  suspicious_activities TINYINT,
  PRIMARY KEY (user_id) NOT ENFORCED
) WITH (
  'connector' = 'kafka',
  'topic' = '${user_profile}',
  ${kafka_options},
  'properties.group.id' = '${group}',
  'scan.startup.mode' = 'earliest-offset',
  'scan.topic-partition-discovery.interval' = '5 s',
  'format' = 'debezium-json',
  -- What cannot be read is not lost: see dead_letters.sql
  'debezium-json.ignore-parse-errors' = 'true'
)
//
CREATE TABLE transactions (
  transaction_id BIGINT,
  user_id INT,
  amount DECIMAL(12, 2),
  currency STRING,
  type STRING,
  country STRING,
  merchant STRING,
  transaction_time TIMESTAMP_LTZ(3),
  created_at TIMESTAMP_LTZ(3),
  PRIMARY KEY (transaction_id) NOT ENFORCED
) WITH (
  'connector' = 'kafka',
  'topic' = '${transactions}',
  ${kafka_options},
  'properties.group.id' = '${group}',
  'scan.startup.mode' = 'earliest-offset',
  'scan.topic-partition-discovery.interval' = '5 s',
  'format' = 'debezium-json',
  'debezium-json.ignore-parse-errors' = 'true',
  'debezium-json.timestamp-format.standard' = 'ISO-8601'
)
//
-- One JSON object a transaction, keyed by user. The amount is a string: a JSON number would become a float in most readers.
CREATE TABLE transaction_mid (
  message_key STRING,
  transaction_id BIGINT,
  user_id INT,
  user_first_name STRING,
  user_last_name STRING,
  user_email STRING,
  user_phone_number STRING,
  user_home_country STRING,
  user_suspicious_activity BOOLEAN,
  transaction_amount STRING,
  transaction_currency STRING,
  transaction_type STRING,
  transaction_country STRING,
  transaction_merchant STRING,
  transaction_time TIMESTAMP_LTZ(3),
  created_at TIMESTAMP_LTZ(3),
  PRIMARY KEY (message_key) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = '${transaction_mid}',
  ${kafka_options},
  'key.format' = 'raw',
  'value.format' = 'json',
  'value.fields-include' = 'EXCEPT_KEY',
  'value.json.timestamp-format.standard' = 'ISO-8601'
)
//
-- A LEFT join: a payment whose profile is still on its way passes at once, with NULLs, and again with the profile. So one user's
-- payments keep the order in which the bank took them, which an inner join, letting them wait, would lose.
-- A changed profile retracts the user's recent payments (tombstones, and rows with NULLs) and sends them again.
INSERT INTO transaction_mid
SELECT /*+ STATE_TTL('t' = '${transaction_ttl}') */
  CAST(t.user_id AS STRING),
  t.transaction_id,
  t.user_id,
  u.first_name,
  u.last_name,
  u.email,
  u.phone_number,
  u.home_country,
  u.suspicious_activities <> 0,
  CAST(t.amount AS STRING),
  t.currency,
  t.type,
  t.country,
  t.merchant,
  t.transaction_time,
  t.created_at
FROM transactions AS t
LEFT JOIN user_profile AS u ON t.user_id = u.user_id
WHERE t.transaction_id IS NOT NULL AND t.user_id IS NOT NULL
//
