-- What may come: probabilities as they were said, who holds which future, what each future holds, and how the oracles did.

-- What keepers said of a verse, and when: conditional on the parent, 18 decimals.
CREATE OR REPLACE VIEW probability_history AS
SELECT verse, keeper, parent, question, outcome, probability, block_number, block_timestamp, log_index
FROM report_worlds
UNION ALL
SELECT w.verse, u.keeper, u.parent, u.question, u.outcome, u.probability, u.block_number, u.block_timestamp, u.log_index
FROM probability_updates u
JOIN report_worlds w USING (keeper, parent, question, outcome)
ORDER BY verse, block_number, log_index;

-- The supply of a verse after each block in which it changed: what is owned there if that future comes true.
CREATE OR REPLACE VIEW supply_history AS
SELECT p.verse, p.token, c.block_number, c.block_timestamp, c.supply
FROM supply_changes c
JOIN positions p USING (position)
ORDER BY p.verse, p.token, c.block_number;

-- What an owner has of a token in every combination of answers that can still come true: the sum over the verses that lie on
-- it. `combinations` says how many there are; they are numbered, each question a digit, and only as many are made as are shown: at
-- most 4,096, and fewer where an owner holds so many verses that it would come to more than a million sums.
CREATE OR REPLACE MACRO exposure(who, what) AS TABLE
WITH held AS MATERIALIZED (
  SELECT p.verse, b.amount
  FROM balances b JOIN positions p USING (position)
  WHERE b.owner = lower(who) AND p.token = lower(what) AND b.amount > 0::BIGNUM
), steps AS MATERIALIZED (
  SELECT h.verse, a.question, a.outcome FROM held h JOIN verse_answers a USING (verse)
), asked AS MATERIALIZED (
  SELECT question, live, len(live) AS radix,
         least(coalesce(product(len(live)) OVER (ORDER BY question ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 1), 1e6)::BIGINT
         AS stride
  FROM v_questions
  WHERE question IN (SELECT question FROM steps)
), sizes AS (
  SELECT coalesce(product(radix), 1) AS combinations,
         least(4096, 1000000 // greatest(count(*), (SELECT count(*) FROM held), 1)) AS most
  FROM asked
), numbers AS MATERIALIZED (
  SELECT unnest(range(least(combinations, greatest(most, 1))::BIGINT)) AS n, least(combinations, 1e38)::HUGEINT AS combinations
  FROM sizes
), places AS (
  SELECT h.verse, any_value(h.amount) AS amount,
         list({'stride': q.stride, 'radix': q.radix, 'digit': list_position(q.live, s.outcome) - 1}) FILTER (q.question IS NOT NULL)
         AS digits
  FROM held h LEFT JOIN steps s USING (verse) LEFT JOIN asked q USING (question)
  GROUP BY h.verse
  HAVING coalesce(bool_and(list_contains(q.live, s.outcome)), true)
), sums AS (
  SELECT n, sum(p.amount) AS amount
  FROM numbers, places p
  WHERE p.digits IS NULL OR len(list_filter(p.digits, lambda d: n // d.stride % d.radix <> d.digit)) = 0
  GROUP BY n
), futures AS (
  SELECT n, map_from_entries(list((question, live[1 + n // stride % radix]) ORDER BY question)) AS future
  FROM numbers, asked
  GROUP BY n
)
SELECT coalesce(future, MAP {}::MAP(VARCHAR, UTINYINT)) AS future, coalesce(amount, 0::BIGNUM) AS amount, combinations
FROM numbers LEFT JOIN futures USING (n) LEFT JOIN sums USING (n)
ORDER BY amount DESC, future::VARCHAR;

-- How oracles kept their time: seconds from asking to the answer, and how long before the deadline it came (negative for an
-- answer that only the deadline gave).
CREATE OR REPLACE VIEW oracle_timeliness AS
SELECT q.oracle, q.question, q.block_timestamp AS asked_at, a.block_timestamp AS answered_at, a.outcome, a.expired,
       epoch(a.block_timestamp)::BIGINT - epoch(q.block_timestamp)::BIGINT AS seconds_to_answer,
       q.deadline::HUGEINT - epoch(a.block_timestamp)::HUGEINT AS seconds_to_spare
FROM questions q
LEFT JOIN answers a USING (question)
ORDER BY q.block_number, q.question;

-- World extractable value over time in its four forms: the ratio and the difference of costs, as keepers measured them in
-- their worlds, and the nominal and the realised amount, as the ledger had them.
CREATE OR REPLACE VIEW wev_history AS
SELECT a.block_timestamp AS answered_at, w.question, w.token, m.wev AS ratio, m.absolute, w.wev_nominal AS nominal,
       w.wev_realized AS realized,
       sum(w.wev_nominal) OVER (PARTITION BY w.token ORDER BY a.block_number, a.log_index) AS nominal_so_far
FROM wev_exact w
JOIN answers a USING (question)
LEFT JOIN (
  SELECT event ->> 'question' AS question, arg_max((event ->> 'wevRatio')::DOUBLE / 1e18, (written_at, seq)) AS wev,
         arg_max((event ->> 'wevAbs')::DOUBLE / 1e18, (written_at, seq)) AS absolute
  FROM journal WHERE kind = 'wev.measured' GROUP BY 1
) m USING (question)
ORDER BY a.block_number, a.log_index, w.token;
