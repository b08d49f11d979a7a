-- Rows that the database refuses today, written by an earlier version or while a trigger was away: of which payment or user, and what is wrong.
SELECT CAST(transaction_id AS CHAR), user_id, 'created_at is no time' FROM transactions WHERE UNIX_TIMESTAMP(created_at) = 0
UNION ALL
SELECT CAST(transaction_id AS CHAR), user_id, 'its id is not a positive number' FROM transactions WHERE transaction_id <= 0
UNION ALL
SELECT CAST(t.transaction_id AS CHAR), t.user_id, 'its id is that of a payment deleted earlier'
FROM transactions AS t
JOIN deleted_transactions USING (transaction_id)
UNION ALL
SELECT CONCAT('user-', user_id), user_id, 'created_at or updated_at is no time'
FROM user_profile
WHERE UNIX_TIMESTAMP(created_at) = 0 OR UNIX_TIMESTAMP(updated_at) = 0
