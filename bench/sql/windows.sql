-- Where the windows that meet the rule go.
CREATE TABLE windows (
  found STRING
) WITH (
  'connector' = 'kafka',
  'topic' = '${suspicious_activities}',
  ${kafka_options},
  'format' = 'raw'
)
//
