-- What an analyst asks of the whole past, in words that DuckDB and Postgres share: each after a line with its name. Both are asked
-- the same text.

-- name: volume by day and token
SELECT date_trunc('day', t.block_timestamp) AS day, p.token, count(*) AS moves, sum(t.amount::float8) AS volume
FROM transfers t JOIN positions p USING (position) GROUP BY 1, 2 ORDER BY 1, 2

-- name: accounts that moved something, by week
SELECT date_trunc('week', block_timestamp) AS week, count(DISTINCT sender) AS senders, count(DISTINCT receiver) AS receivers
FROM transfers GROUP BY 1 ORDER BY 1

-- name: volume so far, by hour
SELECT hour, moves, sum(moves) OVER (ORDER BY hour) AS so_far, avg(moves) OVER (ORDER BY hour ROWS 23 PRECEDING) AS day_before
FROM (SELECT date_trunc('hour', block_timestamp) AS hour, count(*) AS moves FROM transfers GROUP BY 1) hours ORDER BY hour

-- name: busiest accounts
SELECT account, count(*) AS moves, sum(flow) AS net FROM (
  SELECT sender AS account, -amount::float8 AS flow FROM transfers UNION ALL SELECT receiver, amount::float8 FROM transfers
) flows GROUP BY account ORDER BY moves DESC, account LIMIT 20

-- name: events of each block, percentiles by day
SELECT date_trunc('day', block_timestamp) AS day, count(*) AS blocks, sum(moves) AS moves,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY moves) AS p50, percentile_cont(0.95) WITHIN GROUP (ORDER BY moves) AS p95
FROM (SELECT block_number, min(block_timestamp) AS block_timestamp, count(*) AS moves FROM transfers GROUP BY block_number) told
GROUP BY 1 ORDER BY 1

-- name: size of holdings by token, percentiles
SELECT p.token, count(*) AS holdings, count(DISTINCT b.owner) AS owners, avg(b.amount::float8) AS mean,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY b.amount::float8) AS p50, percentile_cont(0.99) WITHIN GROUP (ORDER BY b.amount::float8) AS p99
FROM balances b JOIN positions p USING (position) GROUP BY p.token ORDER BY p.token

-- name: share of the ten largest owners of each token
SELECT token, sum(held) FILTER (WHERE place <= 10) / sum(held) AS share FROM (
  SELECT token, held, row_number() OVER (PARTITION BY token ORDER BY held DESC) AS place FROM (
    SELECT p.token, b.owner, sum(b.amount::float8) AS held FROM balances b JOIN positions p USING (position) GROUP BY p.token, b.owner
  ) owned
) ranked GROUP BY token ORDER BY token

-- name: what is held in verses by their state
SELECT state, token, count(*) AS holdings, sum(display) AS held FROM v_balances GROUP BY state, token ORDER BY state, token

-- name: supply of verses by depth and day
SELECT date_trunc('day', h.block_timestamp) AS day, v.depth, count(*) AS changes, sum(h.supply::float8) AS left_there
FROM supply_history h JOIN verses v USING (verse) GROUP BY 1, 2 ORDER BY 1, 2

-- name: how much supplies changed at a time, by depth
SELECT depth, count(*) AS changes, sum(change) AS net, max(change) AS most FROM (
  SELECT v.depth, h.supply::float8 - coalesce(lag(h.supply::float8) OVER (PARTITION BY h.verse, h.token ORDER BY h.block_number), 0) AS change
  FROM supply_history h JOIN verses v USING (verse)
) steps GROUP BY depth ORDER BY depth

-- name: steps of verses by month
SELECT date_trunc('month', entered_at) AS month, source, target, count(*) AS steps FROM verse_lifecycle GROUP BY 1, 2, 3 ORDER BY 1, 2, 3

-- name: probabilities said, and what came true
SELECT floor(probability::float8 / 1e17) AS tenth, count(*) AS verses, avg(CASE WHEN a.outcome = h.outcome THEN 1.0 ELSE 0.0 END) AS came_true
FROM probability_history h JOIN answers a USING (question) GROUP BY 1 ORDER BY 1

-- name: extractable value by week and token, and so far
SELECT week, token, nominal, sum(nominal) OVER (PARTITION BY token ORDER BY week) AS so_far FROM (
  SELECT date_trunc('week', answered_at) AS week, token, sum(nominal::float8) AS nominal FROM wev_history GROUP BY 1, 2
) weeks ORDER BY week, token

-- name: latency of providers by week, percentiles
SELECT date_trunc('week', invoked_at) AS week, provider_id, operation, count(*) AS calls,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) AS p50, percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) AS p95
FROM provider_invocations GROUP BY 1, 2, 3 ORDER BY 1, 2, 3

-- name: cost of verses by depth and provider
SELECT v.depth, c.provider_id, count(*) AS verses, avg(c.cost_units::float8) AS mean, max(c.cost_units::float8) AS most
FROM verse_costs c JOIN verses v USING (verse) GROUP BY v.depth, c.provider_id ORDER BY v.depth, c.provider_id

-- name: patience of oracles by month
SELECT date_trunc('month', asked_at) AS month, oracle, count(*) AS asked, count(answered_at) AS answered,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds_to_answer) AS p50, min(seconds_to_spare) AS least_to_spare
FROM oracle_timeliness GROUP BY 1, 2 ORDER BY 1, 2
