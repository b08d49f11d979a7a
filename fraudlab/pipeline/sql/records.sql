-- A sink for records that are already JSON: each row names its topic and key.
CREATE TABLE records (
  topic STRING METADATA,
  message_key STRING,
  message STRING
) WITH (
  'connector' = 'kafka',
  'topic' = '${sink_topics};${dead_letters}',
  ${kafka_options},
  -- What comes while a request is on its way becomes the next request: a backlog goes in batches, and a lone record still goes at once.
  'properties.max.in.flight.requests.per.connection' = '1',
  'properties.max.request.size' = '4194304',
  'key.format' = 'raw',
  'key.fields' = 'message_key',
  'value.format' = 'raw',
  'value.fields-include' = 'EXCEPT_KEY',
  'sink.delivery-guarantee' = 'at-least-once'
)
//
