-- The joined payments in EUR cents, with their event time.
CREATE TEMPORARY VIEW payments AS
SELECT
  transaction_id,
  user_id,
  transaction_country AS country,
  CAST(ROUND(CAST(transaction_amount AS DECIMAL(12, 2)) * CASE transaction_currency ${rates} END, 2) * 100 AS BIGINT) AS eur_cents,
  transaction_time
FROM transaction_mid
//
