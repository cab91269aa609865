-- What each of the seeds' commands that only look prints.

CREATE OR REPLACE VIEW provider_efficiency AS
SELECT p.provider_id, p.trit, count(i.invocation_id) AS calls, coalesce(sum(i.cost_units), 0) AS total_cost,
       avg(i.cost_units) AS average_cost, sum(i.cost_units) / nullif(count(DISTINCT i.verse_id), 0) AS cost_per_verse
FROM runtime_providers p
LEFT JOIN provider_invocations i USING (provider_id)
GROUP BY p.provider_id, p.trit
ORDER BY total_cost DESC, p.provider_id;

-- `within`: whether 95 of 100 calls are done in the quarter of a second that the seeds promise.
CREATE OR REPLACE VIEW provider_benchmark AS
SELECT provider_id, operation, count(*) AS calls, min(latency_ms) AS min_ms, avg(latency_ms) AS average_ms,
       quantile_cont(latency_ms, 0.5) AS p50_ms, quantile_cont(latency_ms, 0.95) AS p95_ms, max(latency_ms) AS max_ms,
       p95_ms < 250 AS within
FROM provider_invocations
GROUP BY provider_id, operation
ORDER BY provider_id, operation;

CREATE OR REPLACE VIEW world_runtime_metrics AS
SELECT e.entity_type, count(*) AS measured, avg(m.boot_time_ms) AS boot_ms, avg(m.snapshot_time_ms) AS snapshot_ms,
       avg(m.branch_time_ms) AS branch_ms, avg(m.memory_overhead_mb) AS memory_mb,
       bool_and(m.snapshot_time_ms < 250) AS snapshots_within, bool_and(m.branch_time_ms < 250) AS branches_within
FROM runtime_metrics m
JOIN world_runtime_entities e USING (entity_id)
GROUP BY e.entity_type
ORDER BY e.entity_type;

CREATE OR REPLACE VIEW world_runtime_branches AS
SELECT branch_id, parent_entity_id, child_entity_ids, branch_type, snapshot_time_ms, gf3_sum, branched_at
FROM world_branches
ORDER BY branched_at DESC, branch_id;

CREATE OR REPLACE VIEW world_runtime_resolutions AS
SELECT resolution_id, len(verses) AS verses, winning_verse, oracle_source, wev_extracted, pull_up_time_ms, resolved_at
FROM verse_resolutions
ORDER BY resolved_at DESC, resolution_id;

-- WEV extraction over time.
CREATE OR REPLACE VIEW wev_analytics AS
SELECT date_trunc('day', resolved_at) AS day, count(*) AS resolutions, sum(wev_extracted) AS wev,
       avg(wev_extracted) AS avg_wev,
       sum(sum(wev_extracted)) OVER (ORDER BY date_trunc('day', resolved_at)) AS cumulative
FROM verse_resolutions
GROUP BY 1
ORDER BY 1;

CREATE OR REPLACE VIEW providers_list AS
SELECT provider_id, name, trit,
       gf3_role(trit) AS role, status
FROM runtime_providers
ORDER BY trit DESC, provider_id;

-- Lanes that are claimed to be complete: those of verses whose worlds a keeper reported as run or verified, and those of
-- pipelines that ran to their end. Any other lane is open: it may still be given what it wants.
CREATE OR REPLACE VIEW complete_lanes AS
SELECT verse FROM report_worlds WHERE verdict IN (1, 2)
UNION
SELECT unnest(from_json(event -> 'verses', '["VARCHAR"]')) FROM journal WHERE kind = 'pipeline.completed';

-- Which bundles of trits sum to 0 mod 3. `violated` are those that are not conserved and are claimed to be whole.
CREATE OR REPLACE VIEW gf3_audit AS
WITH scopes AS (
  SELECT 'registry' AS scope, 'runtime_providers' AS id, sum(trit) AS s, count(*) AS n,
         count(*) FILTER (trit = 1) AS plus, count(*) FILTER (trit = 0) AS zero, count(*) FILTER (trit = -1) AS minus,
         false AS open
  FROM runtime_providers
  UNION ALL
  -- A lane's trits are those of the distinct providers that succeeded in it, whatever the number of their calls.
  SELECT 'pipeline', lane.verse_id, sum(p.trit), count(*), count(*) FILTER (p.trit = 1),
         count(*) FILTER (p.trit = 0), count(*) FILTER (p.trit = -1),
         lane.verse_id NOT IN (SELECT verse FROM complete_lanes)
  FROM (
    SELECT DISTINCT verse_id, provider_id FROM provider_invocations
    WHERE verse_id IS NOT NULL AND json_extract(output_result, '$.error.code') IS NULL
  ) lane
  JOIN runtime_providers p USING (provider_id)
  GROUP BY 2
  UNION ALL
  SELECT 'branch', b.branch_id, sum(e.trit), count(*), count(*) FILTER (e.trit = 1), count(*) FILTER (e.trit = 0),
         count(*) FILTER (e.trit = -1), false
  FROM (
    SELECT branch_id, unnest(child_entity_ids) AS cid FROM world_branches WHERE branch_type = 'push_down'
  ) b
  JOIN world_runtime_entities e ON e.entity_id = b.cid
  GROUP BY 2
)
SELECT scope, id, s, gf3_residue(s) AS residue, s % 3 = 0 AS conserved, n, plus, zero, minus,
       (plus = minus AND zero >= 1) AS balanced, open AND NOT conserved AS open, NOT conserved AND NOT scopes.open AS violated
FROM scopes
ORDER BY 1, 2;
