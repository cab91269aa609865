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
