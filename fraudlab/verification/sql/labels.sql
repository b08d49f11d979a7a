-- The generator's truth: which payments were fraud, whose, and of which scenario.
SELECT l.transaction_id, j.user_id, l.scenario
FROM fraud_labels AS l
JOIN judged AS j USING (transaction_id)
