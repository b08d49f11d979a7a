-- transaction_mid as it is in Kafka: value, where it is, and key.
CREATE TABLE transaction_mid (
  message BYTES,
  message_topic STRING METADATA FROM 'topic' VIRTUAL,
  message_partition INT METADATA FROM 'partition' VIRTUAL,
  message_offset BIGINT METADATA FROM 'offset' VIRTUAL,
  message_key BYTES
) WITH (
  'connector' = 'kafka',
  'topic' = '${transaction_mid}',
  ${kafka_options},
  'properties.group.id' = '${group}',
  'scan.startup.mode' = 'earliest-offset',
  'scan.topic-partition-discovery.interval' = '5 s',
  'scan.bounded.mode' = '${bounded_mode}',
  'key.format' = 'raw',
  'key.fields' = 'message_key',
  'value.format' = 'raw',
  'value.fields-include' = 'EXCEPT_KEY'
)
//
-- Tombstones, which deletes leave behind, say nothing here.
-- One string a record: what costs between the JVM and Python is each value that crosses. Bytes that are not UTF-8 become U+FFFD here:
-- functions of SQL, and the way to Python, fail on them. Half a surrogate pair, which JSON may name, becomes "?".
-- The join's records tell their user in both key and value. A stranger's with another key, or none, belongs to whom its value names.
CREATE TEMPORARY VIEW keyed_transactions AS
SELECT
  CASE
    WHEN POSITION(CONCAT('"user_id":', message_key, ',') IN message) > 0 THEN message_key
    WHEN CHAR_LENGTH(message) > 65536 THEN COALESCE(message_key, '')  -- a number with that many digits takes seconds to read
    ELSE COALESCE(DECODE(ENCODE(JSON_VALUE(message, '$$.user_id'), 'UTF-8'), 'UTF-8'), message_key, '')
  END,
  CONCAT(CAST(message_partition AS STRING), ':', CAST(message_offset AS STRING), ':', message)
FROM (
  SELECT
    DECODE(message_key, 'UTF-8') AS message_key, DECODE(message, 'UTF-8') AS message, message_partition, message_offset
  FROM guarded_transaction_mid
  WHERE message IS NOT NULL
)
//
