-- transaction_mid as it lies in Kafka: key, value, and where it lies. Tombstones, which deletes leave behind, say nothing here.
CREATE TABLE transaction_mid (
  message_key STRING,
  message STRING,
  message_partition INT METADATA FROM 'partition' VIRTUAL,
  message_offset BIGINT METADATA FROM 'offset' VIRTUAL
) WITH (
  'connector' = 'kafka',
  'topic' = '${transaction_mid}',
  'properties.bootstrap.servers' = '${bootstrap_servers}',
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
-- One string a record: what costs between the JVM and Python is each value that crosses.
-- The join's records tell their user in both key and value. A stranger's with another key, or none, belongs to whom its value names.
CREATE TEMPORARY VIEW keyed_transactions AS
SELECT
  CASE
    WHEN POSITION(CONCAT('"user_id":', message_key, ',') IN message) > 0 THEN message_key
    ELSE COALESCE(JSON_VALUE(message, '$$.user_id'), message_key, '')
  END,
  CONCAT(CAST(message_partition AS STRING), ':', CAST(message_offset AS STRING), ':', message)
FROM transaction_mid
WHERE message IS NOT NULL
//
