-- What the join cannot read as a change of a table, with the reason and where it came from.
CREATE TABLE envelopes (
  message STRING,
  message_topic STRING METADATA FROM 'topic' VIRTUAL,
  message_partition INT METADATA FROM 'partition' VIRTUAL,
  message_offset BIGINT METADATA FROM 'offset' VIRTUAL
) WITH (
  'connector' = 'kafka',
  'topic' = '${user_profile};${transactions}',
  'properties.bootstrap.servers' = '${bootstrap_servers}',
  'properties.group.id' = '${group}-dead-letters',
  'scan.startup.mode' = 'earliest-offset',
  'scan.topic-partition-discovery.interval' = '5 s',
  'format' = 'raw'
)
//
CREATE TABLE dead_letters (
  message_key STRING,
  message STRING
) WITH (
  'connector' = 'kafka',
  'topic' = '${dead_letters}',
  'properties.bootstrap.servers' = '${bootstrap_servers}',
  'properties.max.request.size' = '4194304',
  'key.format' = 'raw',
  'key.fields' = 'message_key',
  'value.format' = 'raw',
  'value.fields-include' = 'EXCEPT_KEY'
)
//
-- Not JSON_VALUE … RETURNING INTEGER: of a number that is none, it makes an error that ends the job, whatever ON ERROR says.
CREATE TEMPORARY VIEW unreadable AS
SELECT *,
  CASE
    WHEN message IS NOT JSON OBJECT THEN 'not a JSON object'
    WHEN COALESCE(JSON_VALUE(message, '$$.op'), '') NOT IN ('c', 'r', 'u', 'd')
      THEN 'not a Debezium envelope: op is not one of c, r, u, d'
    WHEN JSON_VALUE(message, '$$.op') <> 'c' AND JSON_VALUE(message, '$$.op') <> 'r'
      AND TRY_CAST(REGEXP_EXTRACT(JSON_VALUE(message, '$$.before.user_id'), '^-?[0-9]+$$') AS INTEGER) IS NULL
      THEN 'before has no integer user_id'
    WHEN JSON_VALUE(message, '$$.op') <> 'd'
      AND TRY_CAST(REGEXP_EXTRACT(JSON_VALUE(message, '$$.after.user_id'), '^-?[0-9]+$$') AS INTEGER) IS NULL
      THEN 'after has no integer user_id'
    WHEN message_topic = '${transactions}' AND JSON_VALUE(message, '$$.op') <> 'd'
      AND TRY_CAST(REGEXP_EXTRACT(JSON_VALUE(message, '$$.after.transaction_id'), '^-?[0-9]+$$') AS BIGINT) IS NULL
      THEN 'after has no integer transaction_id'
    WHEN message_topic = '${transactions}' AND JSON_VALUE(message, '$$.op') <> 'c' AND JSON_VALUE(message, '$$.op') <> 'r'
      AND TRY_CAST(REGEXP_EXTRACT(JSON_VALUE(message, '$$.before.transaction_id'), '^-?[0-9]+$$') AS BIGINT) IS NULL
      THEN 'before has no integer transaction_id'
    -- The join takes it for a profile that it does not know yet: the user's activities wait.
    WHEN message_topic = '${user_profile}' AND JSON_VALUE(message, '$$.op') <> 'd'
      AND TRY_CAST(REGEXP_EXTRACT(JSON_VALUE(message, '$$.after.suspicious_activities'), '^-?[0-9]+$$') AS TINYINT) IS NULL
      THEN 'after has no integer suspicious_activities'
  END AS reason
FROM envelopes
WHERE message IS NOT NULL
//
INSERT INTO dead_letters
SELECT
  CONCAT(message_topic, '-', CAST(message_partition AS STRING), '-', CAST(message_offset AS STRING)),
  JSON_OBJECT(
    KEY 'dead_letter_id' VALUE CONCAT(message_topic, '-', CAST(message_partition AS STRING), '-', CAST(message_offset AS STRING)),
    KEY 'reason' VALUE reason,
    KEY 'topic' VALUE message_topic,
    KEY 'partition' VALUE message_partition,
    KEY 'offset' VALUE message_offset,
    KEY 'transaction_id' VALUE CAST(NULL AS BIGINT),
    KEY 'payload' VALUE SUBSTRING(message, 1, 65536)
  )
FROM unreadable
WHERE reason IS NOT NULL
//
