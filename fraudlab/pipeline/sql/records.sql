-- A sink for records that are already JSON: each row names its topic and key.
CREATE TABLE records (
  topic STRING METADATA,
  message_key STRING,
  message STRING
) WITH (
  'connector' = 'kafka',
  'topic' = '${sink_topics};${dead_letters}',
  ${kafka_options},
  'properties.max.request.size' = '4194304',
  'key.format' = 'raw',
  'key.fields' = 'message_key',
  'value.format' = 'raw',
  'value.fields-include' = 'EXCEPT_KEY',
  'sink.delivery-guarantee' = 'at-least-once'
)
//
