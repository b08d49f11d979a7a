-- Who must be told of what: each user's episodes with an activity. An activity is of the episode in which the database took the payment
-- that made it known: the last reinstatement before it, 0 for an account's first.
SELECT DISTINCT e.user_id, COALESCE(p.episode, 0)
FROM expected AS e
LEFT JOIN payment_episodes AS p ON p.transaction_id = e.known_by
