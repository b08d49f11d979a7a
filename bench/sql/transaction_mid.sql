-- The joined payments as Flink SQL reads them: with event time, and a watermark a minute behind.
CREATE TABLE transaction_mid (
  transaction_id BIGINT,
  user_id INT,
  transaction_amount STRING,
  transaction_currency STRING,
  transaction_country STRING,
  transaction_time TIMESTAMP_LTZ(3),
  WATERMARK FOR transaction_time AS transaction_time - INTERVAL '60' SECOND
) WITH (
  'connector' = 'kafka',
  'topic' = '${transaction_mid}',
  ${kafka_options},
  'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = 'latest-offset',
  'format' = 'json',
  'json.timestamp-format.standard' = 'ISO-8601'
)
//
