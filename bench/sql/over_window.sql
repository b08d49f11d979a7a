-- The detector's rule as a Flink SQL OVER window. It needs a watermark, drops what comes later, and knows no duplicates.
CREATE TABLE suspicious (
  transaction_id BIGINT,
  user_id INT,
  total_amount_eur STRING,
  countries BIGINT
) WITH (
  'connector' = 'kafka',
  'topic' = '${suspicious_activities}',
  ${kafka_options},
  'format' = 'json'
)
//
CREATE TEMPORARY VIEW hours AS
SELECT
  transaction_id,
  user_id,
  SUM(amount_eur) OVER past_hour AS total_amount_eur,
  COUNT(DISTINCT transaction_country) OVER past_hour AS countries
FROM (
  SELECT
    *,
    ROUND(CAST(transaction_amount AS DECIMAL(12, 2)) * CASE transaction_currency ${rates} END, 2) AS amount_eur
  FROM transaction_mid
)
WINDOW past_hour AS (
  PARTITION BY user_id
  ORDER BY transaction_time
  -- The hour is open at its start; RANGE is closed at both ends, and time has milliseconds.
  RANGE BETWEEN INTERVAL '59:59.999' MINUTE TO SECOND(3) PRECEDING AND CURRENT ROW
)
//
INSERT INTO suspicious
SELECT transaction_id, user_id, CAST(total_amount_eur AS STRING), countries
FROM hours
WHERE countries >= ${min_countries} AND total_amount_eur >= ${threshold_eur}
//
