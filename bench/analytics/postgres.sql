-- The views, as Postgres says them. Tables come before; what is not here is not compared.

-- A number of at most four decimals as DuckDB writes a DOUBLE.
CREATE FUNCTION as_double(x numeric) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$ SELECT CASE WHEN round(x, 4) = trunc(x) THEN trunc(x) || '.0' ELSE trim_scale(round(x, 4))::text END $$;

CREATE VIEW events AS
SELECT 'QuestionAsked' AS kind, event_id, block_number, block_hash, block_timestamp, tx_hash, log_index,
       oracle AS account, question, NULL::text AS verse, NULL::text AS token, NULL::text AS position, NULL::numeric AS amount FROM questions
UNION ALL SELECT 'SpecPublished', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index, NULL, question, NULL, NULL, NULL, NULL FROM spec_publications
UNION ALL SELECT 'QuestionNarrowed', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index, NULL, question, NULL, NULL, NULL, NULL FROM narrowings
UNION ALL SELECT 'QuestionResolved', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index, NULL, question, NULL, NULL, NULL, NULL FROM answers
UNION ALL SELECT 'PushDown', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index, owner, question, parent, token, NULL, amount FROM push_downs
UNION ALL SELECT 'PullUp', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index, owner, question, parent, token, NULL, amount FROM pull_ups
UNION ALL SELECT 'Transfer', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index, sender, NULL, NULL, NULL, position, amount FROM transfers
UNION ALL SELECT 'Approval', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index, owner, NULL, NULL, NULL, position, amount FROM approvals
UNION ALL SELECT 'RedeemerSet', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index, owner, NULL, NULL, NULL, NULL, NULL FROM redeemer_changes
UNION ALL SELECT 'PositionDescribed', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index, NULL, NULL, verse, token, position, NULL FROM position_descriptions
UNION ALL SELECT 'PartitionReported', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index, keeper, question, parent, NULL, NULL, NULL FROM partition_reports
UNION ALL SELECT DISTINCT 'ProbabilitiesUpdated', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index, keeper, question, parent, NULL, NULL, NULL::numeric FROM probability_updates
UNION ALL SELECT 'AnswerGiven', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index, answerer, question, NULL, NULL, NULL, bond FROM game_answers;

CREATE VIEW redeemers AS
SELECT owner, redeemer FROM (SELECT DISTINCT ON (owner, redeemer) * FROM redeemer_changes ORDER BY owner, redeemer, block_number DESC, log_index DESC) c WHERE allowed;

CREATE VIEW v_questions AS
SELECT q.question, s.title, q.oracle, q.outcomes, q.deadline, q.spec_hash, q.terms_hash, q.block_number, q.winner, q.expired,
       CASE WHEN q.status = 'resolved' THEN 'resolved' WHEN past THEN 'expired' ELSE q.status END AS state,
       CASE WHEN q.status <> 'resolved' AND past THEN ARRAY[q.outcomes - 1]::smallint[] ELSE q.survivors END AS live
FROM (SELECT *, coalesce((SELECT extract(epoch FROM head_timestamp) FROM mirror) >= deadline, false) AS past FROM questions) q
LEFT JOIN specs s USING (question);

CREATE VIEW v_verse_answers AS
SELECT a.verse, a.step, a.question, a.outcome, coalesce(o.label, left(a.question, 10) || '=' || a.outcome) AS label,
       coalesce(a.outcome = ANY (q.live), true) AS possible, coalesce(cardinality(q.live) = 1, false) AS decided
FROM verse_answers a LEFT JOIN v_questions q USING (question) LEFT JOIN outcomes o USING (question, outcome);

CREATE VIEW v_probabilities AS
SELECT DISTINCT ON (verse) verse, probability FROM (
  SELECT verse, probability, block_number, log_index FROM report_worlds
  UNION ALL
  SELECT w.verse, u.probability, u.block_number, u.log_index
  FROM probability_updates u JOIN report_worlds w USING (keeper, parent, question, outcome)
) said ORDER BY verse, block_number DESC, log_index DESC;

CREATE VIEW v_supplies AS
SELECT p.verse, p.token, t.symbol, s.position, s.amount, s.amount::float8 / pow(10, coalesce(t.decimals, 0)) AS display
FROM supplies s JOIN positions p USING (position) LEFT JOIN tokens t USING (token);

CREATE VIEW v_states AS
SELECT v.verse, coalesce(l.label, 'root') AS label,
       CASE WHEN NOT coalesce(a.possible, true) THEN 'collapsed' WHEN coalesce(a.decided, false) THEN 'happened' ELSE 'alive' END AS state
FROM verses v LEFT JOIN verse_labels l USING (verse)
LEFT JOIN (
  SELECT a.verse, bool_and(coalesce(a.outcome = ANY (q.live), true)) AS possible, bool_and(coalesce(cardinality(q.live) = 1, false)) AS decided
  FROM verse_answers a LEFT JOIN v_questions q USING (question) GROUP BY a.verse) a USING (verse);

CREATE VIEW v_verses AS
SELECT v.verse, s.label, v.depth, v.parent, v.question, v.outcome, v.path, v.block_number, s.state, p.probability,
       (SELECT jsonb_agg(jsonb_build_array(h.token, h.symbol, h.amount) ORDER BY h.token) FROM v_supplies h WHERE h.verse = v.verse) AS supplies
FROM verses v JOIN v_states s USING (verse) LEFT JOIN v_probabilities p USING (verse);

CREATE VIEW v_balances AS
SELECT b.owner, p.token, t.symbol, p.verse, s.label, v.path, s.state, b.position, b.amount,
       b.amount::float8 / pow(10, coalesce(t.decimals, 0)) AS display
FROM balances b JOIN positions p USING (position) JOIN verses v USING (verse) JOIN v_states s USING (verse)
LEFT JOIN tokens t USING (token) WHERE b.amount > 0;

CREATE VIEW v_positions AS
SELECT p.position, p.verse, p.token, coalesce(t.symbol, left(p.token, 10)) || ' if ' || s.label AS name, s.label, v.depth,
       s.state <> 'collapsed' AS is_alive, s.state = 'happened' AS redeemable, coalesce(held.amount, 0) AS supply
FROM positions p JOIN verses v USING (verse) JOIN v_states s USING (verse) LEFT JOIN tokens t USING (token) LEFT JOIN supplies held USING (position);

CREATE VIEW redeemable AS
SELECT b.owner, p.position, p.name, p.verse, p.token, b.amount,
       (SELECT array_agg(r.redeemer ORDER BY r.redeemer) FROM redeemers r WHERE r.owner = b.owner) AS redeemers
FROM balances b JOIN v_positions p USING (position) WHERE p.redeemable AND b.amount > 0 ORDER BY b.owner, p.name;

CREATE VIEW v_wev AS
SELECT w.question, q.title, w.token, t.symbol, w.winner, o.label AS winner_label, w.wev_nominal, w.wev_realized, w.total,
       w.wev_nominal::float8 / pow(10, coalesce(t.decimals, 0)) AS nominal_display,
       w.wev_realized::float8 / pow(10, coalesce(t.decimals, 0)) AS realized_display, w.block_number
FROM wev_exact w LEFT JOIN v_questions q USING (question)
LEFT JOIN outcomes o ON o.question = w.question AND o.outcome = w.winner LEFT JOIN tokens t USING (token);

CREATE VIEW push_down_matches AS
WITH RECURSIVE pushed AS (SELECT * FROM world_branches WHERE branch_type = 'push_down'),
children AS (
  SELECT b.branch_id, e.entity_id, e.trit FROM pushed b CROSS JOIN unnest(b.child_entity_ids) child
  JOIN world_runtime_entities e ON e.entity_id = child
), way AS (
  SELECT branch_id, parent_entity_id AS entity_id FROM pushed
  UNION
  SELECT way.branch_id, e.parent_id FROM way JOIN world_runtime_entities e USING (entity_id) WHERE e.parent_id IS NOT NULL
), counted AS (
  SELECT c.branch_id, count(*) AS worlds, count(*) = count(DISTINCT c.entity_id) AS distinct_worlds,
         count(w.entity_id) AS revisited, sum(trit) AS trit_sum
  FROM children c LEFT JOIN way w ON w.branch_id = c.branch_id AND w.entity_id = c.entity_id GROUP BY c.branch_id
)
SELECT *, worlds >= 3 AND distinct_worlds AND revisited = 0 AND trit_sum % 3 = 0 AS matches FROM counted ORDER BY branch_id;

CREATE VIEW probability_history AS
SELECT verse, keeper, parent, question, outcome, probability, block_number, block_timestamp, log_index FROM report_worlds
UNION ALL
SELECT w.verse, u.keeper, u.parent, u.question, u.outcome, u.probability, u.block_number, u.block_timestamp, u.log_index
FROM probability_updates u JOIN report_worlds w USING (keeper, parent, question, outcome)
ORDER BY verse, block_number, log_index;

CREATE VIEW supply_history AS
SELECT p.verse, p.token, c.block_number, c.block_timestamp, c.supply
FROM supply_changes c JOIN positions p USING (position) ORDER BY p.verse, p.token, c.block_number;

CREATE VIEW oracle_timeliness AS
SELECT q.oracle, q.question, q.block_timestamp AS asked_at, a.block_timestamp AS answered_at, a.outcome, a.expired,
       extract(epoch FROM a.block_timestamp)::bigint - extract(epoch FROM q.block_timestamp)::bigint AS seconds_to_answer,
       q.deadline - extract(epoch FROM a.block_timestamp)::bigint AS seconds_to_spare
FROM questions q LEFT JOIN answers a USING (question) ORDER BY q.block_number, q.question;

CREATE VIEW wev_history AS
SELECT a.block_timestamp AS answered_at, w.question, w.token, m.wev AS ratio, m.absolute, w.wev_nominal AS nominal, w.wev_realized AS realized,
       sum(w.wev_nominal) OVER (PARTITION BY w.token ORDER BY a.block_number, a.log_index) AS nominal_so_far
FROM wev_exact w JOIN answers a USING (question)
LEFT JOIN (
  SELECT DISTINCT ON (event ->> 'question') event ->> 'question' AS question, (event ->> 'wevRatio')::float8 / 1e18 AS wev,
         (event ->> 'wevAbs')::float8 / 1e18 AS absolute
  FROM journal WHERE kind = 'wev.measured' ORDER BY event ->> 'question', written_at DESC, seq DESC
) m USING (question) ORDER BY a.block_number, a.log_index, w.token;

CREATE VIEW provider_declared AS
SELECT p.provider_id, p.status, coalesce(j.event ->> 'reason', '') AS reason, coalesce(j.event -> 'declared', '{}') AS declared
FROM runtime_providers p LEFT JOIN (
  SELECT DISTINCT ON (event ->> 'providerId') event ->> 'providerId' AS provider_id, event
  FROM journal WHERE kind = 'provider.registered' ORDER BY event ->> 'providerId', written_at DESC, seq DESC
) j USING (provider_id) ORDER BY provider_id;

CREATE VIEW provider_latency AS
SELECT provider_id, operation, count(*) AS calls, count(*) FILTER (WHERE output_result -> 'error' IS NOT NULL) AS failed,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) AS p50_ms, percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) AS p95_ms,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms) AS p99_ms, max(latency_ms) AS max_ms
FROM provider_invocations GROUP BY provider_id, operation ORDER BY provider_id, operation;

CREATE VIEW verse_costs AS
SELECT verse_id AS verse, provider_id, count(*) AS calls, sum(cost_units::float8) AS cost_units, sum(latency_ms::float8) AS latency_ms
FROM provider_invocations WHERE verse_id IS NOT NULL GROUP BY verse_id, provider_id ORDER BY verse_id, provider_id;

CREATE VIEW provider_efficiency AS
SELECT p.provider_id, p.trit, count(i.invocation_id) AS calls, coalesce(sum(i.cost_units::float8), 0) AS total_cost,
       avg(i.cost_units::float8) AS average_cost, sum(i.cost_units::float8) / nullif(count(DISTINCT i.verse_id), 0) AS cost_per_verse
FROM runtime_providers p LEFT JOIN provider_invocations i USING (provider_id)
GROUP BY p.provider_id, p.trit ORDER BY total_cost DESC, p.provider_id;

CREATE VIEW provider_benchmark AS
SELECT *, p95_ms < 250 AS within FROM (
  SELECT provider_id, operation, count(*) AS calls, min(latency_ms) AS min_ms, avg(latency_ms::float8) AS average_ms,
         percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) AS p50_ms, percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) AS p95_ms,
         max(latency_ms) AS max_ms
  FROM provider_invocations GROUP BY provider_id, operation) told ORDER BY provider_id, operation;

CREATE VIEW world_runtime_metrics AS
SELECT e.entity_type, count(*) AS measured, avg(m.boot_time_ms::float8) AS boot_ms, avg(m.snapshot_time_ms::float8) AS snapshot_ms,
       avg(m.branch_time_ms::float8) AS branch_ms, avg(m.memory_overhead_mb::float8) AS memory_mb,
       bool_and(m.snapshot_time_ms < 250) AS snapshots_within, bool_and(m.branch_time_ms < 250) AS branches_within
FROM runtime_metrics m JOIN world_runtime_entities e USING (entity_id) GROUP BY e.entity_type ORDER BY e.entity_type;

CREATE VIEW world_runtime_branches AS
SELECT branch_id, parent_entity_id, child_entity_ids, branch_type, snapshot_time_ms, gf3_sum, branched_at
FROM world_branches ORDER BY branched_at DESC, branch_id;

CREATE VIEW world_runtime_resolutions AS
SELECT resolution_id, cardinality(verses) AS verses, winning_verse, oracle_source, wev_extracted, pull_up_time_ms, resolved_at
FROM verse_resolutions ORDER BY resolved_at DESC, resolution_id;

CREATE VIEW wev_analytics AS
SELECT date_trunc('day', resolved_at) AS day, count(*) AS resolutions, sum(wev_extracted::float8) AS wev, avg(wev_extracted::float8) AS avg_wev,
       sum(sum(wev_extracted::float8)) OVER (ORDER BY date_trunc('day', resolved_at)) AS cumulative
FROM verse_resolutions GROUP BY 1 ORDER BY 1;

CREATE VIEW providers_list AS
SELECT provider_id, name, trit, CASE trit WHEN 1 THEN 'Generator' WHEN 0 THEN 'Coordinator' WHEN -1 THEN 'Validator' END AS role, status
FROM runtime_providers ORDER BY trit DESC, provider_id;

CREATE VIEW complete_lanes AS
SELECT verse FROM report_worlds WHERE verdict IN (1, 2)
UNION
SELECT jsonb_array_elements_text(event -> 'verses') FROM journal WHERE kind = 'pipeline.completed';

CREATE VIEW gf3_audit AS
WITH scopes AS (
  SELECT 'registry' AS scope, 'runtime_providers' AS id, sum(trit) AS s, count(*) AS n, count(*) FILTER (WHERE trit = 1) AS plus,
         count(*) FILTER (WHERE trit = 0) AS zero, count(*) FILTER (WHERE trit = -1) AS minus, false AS open FROM runtime_providers
  UNION ALL
  SELECT 'pipeline', lane.verse_id, sum(p.trit), count(*), count(*) FILTER (WHERE p.trit = 1), count(*) FILTER (WHERE p.trit = 0),
         count(*) FILTER (WHERE p.trit = -1), lane.verse_id NOT IN (SELECT verse FROM complete_lanes)
  FROM (SELECT DISTINCT verse_id, provider_id FROM provider_invocations
        WHERE verse_id IS NOT NULL AND output_result -> 'error' -> 'code' IS NULL) lane
  JOIN runtime_providers p USING (provider_id) GROUP BY 2
  UNION ALL
  SELECT 'branch', b.branch_id, sum(e.trit), count(*), count(*) FILTER (WHERE e.trit = 1), count(*) FILTER (WHERE e.trit = 0),
         count(*) FILTER (WHERE e.trit = -1), false
  FROM (SELECT branch_id, unnest(child_entity_ids) AS cid FROM world_branches WHERE branch_type = 'push_down') b
  JOIN world_runtime_entities e ON e.entity_id = b.cid GROUP BY 2
)
SELECT scope, id, s, ((s % 3) + 3) % 3 AS residue, s % 3 = 0 AS conserved, n, plus, zero, minus, (plus = minus AND zero >= 1) AS balanced,
       open AND s % 3 <> 0 AS open, s % 3 <> 0 AND NOT open AS violated
FROM scopes ORDER BY 1, 2;

CREATE VIEW verse_lifecycle AS
WITH steps AS (
  (SELECT DISTINCT ON (v.verse) v.verse, 'open' AS target, p.block_number, p.log_index, p.block_timestamp AS entered_at
   FROM push_downs p JOIN verses v ON v.parent = p.parent AND v.question = p.question AND v.outcome = ANY (p.survivors)
   ORDER BY v.verse, p.block_number, p.log_index)
  UNION ALL
  (SELECT DISTINCT ON (verse) verse, 'reported', block_number, log_index, block_timestamp FROM report_worlds ORDER BY verse, block_number, log_index)
  UNION ALL
  (SELECT DISTINCT ON (s.verse) s.verse, 'collapsed', a.block_number, a.log_index, a.block_timestamp
   FROM verse_answers s JOIN answers a USING (question) WHERE a.outcome <> s.outcome ORDER BY s.verse, a.block_number, a.log_index)
  UNION ALL
  SELECT s.verse, 'happened', max(a.block_number), max(a.log_index), max(a.block_timestamp)
  FROM verse_answers s JOIN answers a USING (question) JOIN verses v ON v.verse = s.verse
  GROUP BY s.verse, v.depth HAVING count(*) = v.depth AND bool_and(a.outcome = s.outcome)
)
SELECT *, CASE target WHEN 'open' THEN source = 'unopened' WHEN 'reported' THEN source = 'open' ELSE source IN ('open', 'reported') END AS composes
FROM (SELECT verse, lag(target, 1, 'unopened') OVER (PARTITION BY verse ORDER BY block_number, log_index) AS source, target, entered_at,
             block_number, log_index FROM steps) walked
ORDER BY verse, block_number, log_index;
