-- Which activities must exist. ${window_ms}, ${allowed_lateness_ms}, ${future_tolerance_ms}, ${max_age_ms}, ${min_countries},
-- ${threshold_cents}, ${profile_patience_ms} and ${most_listed} are filled in; the temporary tables of tables.sql are there, with rates, countries,
-- captured deletions, payments that were overtaken and activities in the topic.
INSERT INTO span_before VALUES (0), (1)
//
INSERT INTO judged
WITH
payment AS (
  SELECT transaction_id, user_id, amount, currency, country, transaction_time, created_at
  FROM transactions
  UNION ALL
  SELECT d.transaction_id, d.user_id, d.amount, d.currency, d.country, d.transaction_time, d.created_at
  FROM deleted_transactions AS d
  JOIN captured_deleted USING (transaction_id)
  WHERE NOT EXISTS (SELECT 1 FROM transactions AS again WHERE again.transaction_id = d.transaction_id)
),
arrived AS (
  SELECT p.*, ROW_NUMBER() OVER (ORDER BY COALESCE(o.after_id, p.transaction_id), COALESCE(o.place, 0)) AS arrival
  FROM payment AS p
  LEFT JOIN overtaken AS o USING (transaction_id)
),
converted AS (
  SELECT
    p.transaction_id,
    p.user_id,
    p.arrival,
    CAST(UNIX_TIMESTAMP(p.transaction_time) * 1000 AS SIGNED) AS event_ms,
    CAST(UNIX_TIMESTAMP(p.created_at) * 1000 AS SIGNED) AS created_ms,
    c.code AS known_country,
    CAST(ROUND(p.amount * r.eur_per_unit, 2) * 100 AS SIGNED) AS eur_cents,
    CASE
      WHEN u.transaction_id IS NOT NULL THEN 'skipped'
      WHEN p.amount IS NULL OR p.amount <= 0 THEN 'amount'
      WHEN r.currency IS NULL THEN 'currency'
      WHEN c.code IS NULL THEN 'country'
      WHEN p.transaction_time IS NULL THEN 'transaction_time'
      -- '0000-00-00', which rows of an earlier version may hold
      WHEN UNIX_TIMESTAMP(p.transaction_time) = 0 OR UNIX_TIMESTAMP(p.created_at) = 0 THEN 'transaction_time'
      WHEN p.transaction_time > p.created_at + INTERVAL ${future_tolerance_ms} * 1000 MICROSECOND THEN 'transaction_time'
      WHEN p.created_at > p.transaction_time + INTERVAL ${max_age_ms} * 1000 MICROSECOND THEN 'transaction_time'
    END AS malformed
  FROM arrived AS p
  LEFT JOIN rate AS r ON r.currency = CAST(p.currency AS BINARY)
  LEFT JOIN country AS c ON c.code = CAST(p.country AS BINARY)
  LEFT JOIN uncounted AS u USING (transaction_id)
),
dated AS (
  SELECT
    converted.*,
    MAX(CASE WHEN malformed IS NULL THEN event_ms END) OVER before_it AS newest_before_ms,
    MAX(CASE WHEN malformed IS NULL THEN transaction_id END) OVER before_it AS highest_before
  FROM converted
  WINDOW before_it AS (PARTITION BY user_id ORDER BY arrival ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
)
SELECT
  transaction_id,
  user_id,
  event_ms,
  created_ms,
  CAST(known_country AS CHAR CHARACTER SET ascii),
  eur_cents,
  CASE
    WHEN malformed IS NOT NULL THEN malformed
    WHEN event_ms < newest_before_ms - ${allowed_lateness_ms}
      -- With a lower id than one before it, it cannot be told from a payment delivered again, and has no dead letter.
      THEN IF(transaction_id < highest_before, 'too late and overtaken', 'too late')
  END,
  arrival
FROM dated
//
INSERT INTO counting
SELECT transaction_id, user_id, event_ms, event_ms DIV ${window_ms}, created_ms, country, eur_cents, arrival
FROM judged
WHERE fault IS NULL
//
INSERT INTO counting_again SELECT * FROM counting
//
INSERT INTO suspicious
SELECT STRAIGHT_JOIN x.transaction_id, x.user_id, x.event_ms, x.span, x.arrival
FROM counting AS x
JOIN span_before AS b
JOIN counting_again AS m
  ON m.user_id = x.user_id AND m.span = x.span - b.spans
  AND m.event_ms > x.event_ms - ${window_ms} AND m.event_ms <= x.event_ms
GROUP BY x.transaction_id
HAVING COUNT(DISTINCT m.country) >= ${min_countries} AND SUM(m.eur_cents) >= ${threshold_cents}
//
-- An activity becomes known with the first payment, in the bank's order, with which its window meets the rule.
INSERT INTO expected
WITH
member AS (
  SELECT STRAIGHT_JOIN
    x.transaction_id AS suspicious_id,
    x.user_id,
    x.arrival AS suspicious_arrival,
    m.transaction_id,
    m.arrival,
    m.created_ms,
    m.eur_cents,
    m.country,
    m.event_ms,
    m.event_ms = x.event_ms AND m.transaction_id > x.transaction_id AS is_behind_its_end,
    ROW_NUMBER() OVER (PARTITION BY x.transaction_id, m.country ORDER BY m.arrival) = 1 AS first_of_country
  FROM suspicious AS x
  JOIN span_before AS b
  JOIN counting AS m
    ON m.user_id = x.user_id AND m.span = x.span - b.spans
    AND m.event_ms > x.event_ms - ${window_ms} AND m.event_ms <= x.event_ms
),
so_far AS (
  SELECT
    member.*,
    arrival >= suspicious_arrival
      AND SUM(eur_cents) OVER by_arrival >= ${threshold_cents}
      AND SUM(first_of_country) OVER by_arrival >= ${min_countries} AS known
  FROM member
  WINDOW by_arrival AS (PARTITION BY suspicious_id ORDER BY arrival)
),
numbered AS (
  SELECT so_far.*, SUM(known) OVER (PARTITION BY suspicious_id ORDER BY arrival) AS times_known
  FROM so_far
),
content AS (
  SELECT
    numbered.*,
    COUNT(*) OVER (PARTITION BY suspicious_id) AS payments,
    ROW_NUMBER() OVER (PARTITION BY suspicious_id, is_behind_its_end ORDER BY event_ms DESC, transaction_id DESC) AS from_its_end
  FROM numbered
  WHERE times_known = 0 OR (known AND times_known = 1)
)
-- Of more payments than may be listed, it lists the latest up to the one with which the window ends, by event time and id.
SELECT
  suspicious_id,
  MIN(user_id),
  MAX(CASE WHEN known THEN transaction_id END),
  MAX(CASE WHEN known THEN created_ms END),
  GROUP_CONCAT(
    IF(payments <= ${most_listed} OR (NOT is_behind_its_end AND from_its_end <= ${most_listed}), transaction_id, NULL)
    ORDER BY transaction_id
  ),
  COUNT(*),
  SUM(eur_cents),
  GROUP_CONCAT(DISTINCT country ORDER BY country)
FROM content
GROUP BY suspicious_id
//
-- Nobody can be told of an activity without a profile. It is raised when the profile comes in time, and otherwise perhaps with a later
-- payment: then the topic has it. Half of the patience, because it is measured on other clocks than the database's.
-- A profile that was deleted later was there in time, unless the join was behind: the deletion, in another topic, may then have overtaken
-- the payment.
INSERT INTO given_up
SELECT e.transaction_id
FROM expected AS e
LEFT JOIN raised AS r USING (transaction_id)
LEFT JOIN without_profile AS w USING (user_id)
LEFT JOIN joined_alone AS a ON a.transaction_id = e.known_by
WHERE CASE
  WHEN w.user_id IS NOT NULL THEN r.transaction_id IS NULL
  ELSE NOT EXISTS (
    SELECT 1
    FROM user_profile AS u
    WHERE u.user_id = e.user_id
      AND (r.transaction_id IS NOT NULL OR UNIX_TIMESTAMP(u.created_at) * 1000 <= e.known_ms + ${profile_patience_ms} / 2)
  )
  AND (
    (a.transaction_id IS NOT NULL AND r.transaction_id IS NULL)
    OR NOT EXISTS (
      SELECT 1 FROM deleted_users AS u WHERE u.user_id = e.user_id AND UNIX_TIMESTAMP(u.deleted_at) * 1000 > e.known_ms
    )
  )
END
//
DELETE e FROM expected AS e JOIN given_up USING (transaction_id)
//
