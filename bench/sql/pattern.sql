-- Another question: two payments of a user in a row, in different countries, worth the threshold together, within an hour.
CREATE TABLE pairs (
  user_id INT,
  first_payment BIGINT,
  second_payment BIGINT
) WITH (
  'connector' = 'kafka',
  'topic' = '${suspicious_activities}',
  ${kafka_options},
  'format' = 'json'
)
//
SELECT user_id, first_payment, second_payment
FROM payments
MATCH_RECOGNIZE (
  PARTITION BY user_id
  ORDER BY transaction_time
  MEASURES A.transaction_id AS first_payment, B.transaction_id AS second_payment
  AFTER MATCH SKIP TO NEXT ROW
  PATTERN (A B) WITHIN INTERVAL '1' HOUR
  DEFINE
    B AS B.country <> A.country AND A.eur_cents + B.eur_cents >= 100000
)
//
