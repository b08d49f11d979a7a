-- What the join cannot read as a change of a table, with the reason and where it came from.
CREATE TABLE dead_letters (
  message_key STRING,
  message STRING
) WITH (
  'connector' = 'kafka',
  'topic' = '${dead_letters}',
  ${kafka_options},
  'properties.max.request.size' = '4194304',
  'key.format' = 'raw',
  'key.fields' = 'message_key',
  'value.format' = 'raw',
  'value.fields-include' = 'EXCEPT_KEY'
)
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
    KEY 'payload' VALUE SUBSTRING(DECODE(message, 'UTF-8'), 1, 65536)
  )
FROM unreadable
//
