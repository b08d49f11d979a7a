-- A topic as it is: bytes, and where each record is. Tombstones have no message.
CREATE TEMPORARY TABLE ${table}_envelopes (
  message BYTES,
  message_topic STRING METADATA FROM 'topic' VIRTUAL,
  message_partition INT METADATA FROM 'partition' VIRTUAL,
  message_offset BIGINT METADATA FROM 'offset' VIRTUAL
) WITH (
  'connector' = 'kafka',
  'topic' = '${topic}',
  ${kafka_options},
  'properties.group.id' = '${group}',
  'scan.startup.mode' = 'earliest-offset',
  'scan.topic-partition-discovery.interval' = '5 s',
  'format' = 'raw'
)
//
