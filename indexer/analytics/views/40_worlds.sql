-- The worlds: how far apart they are, what became of them, what they left behind, and whether two keepers saw the same.

-- The distance of two worlds (world hopping): bits in which their seeds differ, epochs between them, and ten times the Jaccard
-- distance of what is true in them. A metric.
CREATE OR REPLACE MACRO world_distance(seed1, epoch1, truths1, seed2, epoch2, truths2) AS
  sqrt(
    pow(bit_count(xor(seed1::UBIGINT, seed2::UBIGINT)), 2)
    + pow(epoch1::DOUBLE - epoch2::DOUBLE, 2)
    + pow(10 * (1 - coalesce(len(list_intersect(truths1, truths2))
                             / nullif(len(list_distinct(list_concat(truths1, truths2))), 0), 1)), 2)
  );
-- Whether a reported way round is no shorter than the direct one.
CREATE OR REPLACE MACRO valid_hop(d12, d23, d13) AS d13 <= d12 + d23;

-- How far a world of a trit reaches in one hop: a generator's is greater. So it may lead there and not back.
CREATE OR REPLACE MACRO hop_reaches(distance, trit) AS distance <= CASE WHEN trit = 1 THEN 3 ELSE 2 END;
-- What a way of hops is worth: its ends' distance times a rate. A detour adds nothing; how much longer it was is lost.
CREATE OR REPLACE MACRO hop_extractable(direct, rate) AS direct * rate;
CREATE OR REPLACE MACRO hop_detour(hops, direct) AS list_sum(hops) - direct;

-- The distances between the worlds that were run: the seed is the state root's first word, the epoch the verse's depth, and
-- what is true are the answers on its path.
CREATE OR REPLACE VIEW world_distances AS
WITH placed AS NOT MATERIALIZED (
  SELECT w.entity_id, word64(w.state_root) AS seed, v.depth, coalesce(t.truths, []) AS truths
  FROM worlds w
  JOIN verses v USING (verse)
  LEFT JOIN (SELECT verse, list(question || '=' || outcome) AS truths FROM verse_answers GROUP BY verse) t USING (verse)
  WHERE w.state_root IS NOT NULL
)
SELECT a.entity_id AS world_from, b.entity_id AS world_to,
       world_distance(a.seed, a.depth, a.truths, b.seed, b.depth, b.truths) AS distance
FROM placed a
JOIN placed b ON a.entity_id < b.entity_id
ORDER BY world_from, world_to;

-- Why each provider is in its status, and the figures that its vendor declares, as the last keeper to start said. Nobody here
-- measured any of them: what was measured is in `provider_latency`.
CREATE OR REPLACE VIEW provider_declared AS
SELECT p.provider_id, p.status, coalesce(j.event->>'reason', '') AS reason, coalesce(j.event->'declared', '{}') AS declared
FROM runtime_providers p
LEFT JOIN (
  SELECT event->>'providerId' AS provider_id, arg_max(event, (written_at, seq)) AS event
  FROM journal WHERE kind = 'provider.registered' GROUP BY 1
) j USING (provider_id)
ORDER BY provider_id;

CREATE OR REPLACE VIEW provider_latency AS
SELECT provider_id, operation, count(*) AS calls,
       count(*) FILTER (json_extract(output_result, '$.error') IS NOT NULL) AS failed,
       quantile_cont(latency_ms, 0.5) AS p50_ms, quantile_cont(latency_ms, 0.95) AS p95_ms,
       quantile_cont(latency_ms, 0.99) AS p99_ms, max(latency_ms) AS max_ms
FROM provider_invocations
GROUP BY provider_id, operation
ORDER BY provider_id, operation;

CREATE OR REPLACE VIEW verse_costs AS
SELECT verse_id AS verse, provider_id, count(*) AS calls, sum(cost_units) AS cost_units, sum(latency_ms) AS latency_ms
FROM provider_invocations
WHERE verse_id IS NOT NULL
GROUP BY verse_id, provider_id
ORDER BY verse_id, provider_id;

-- What a verse went through, as steps from one state to the next: it collapses with the first answer that is not its own, and
-- happens with the last one that is. A step composes when it begins where the one before ended.
CREATE OR REPLACE VIEW verse_lifecycle AS
WITH steps AS (
  SELECT v.verse, 'open' AS target, p.block_number, p.log_index, p.block_timestamp AS entered_at
  FROM push_downs p
  JOIN verses v ON v.parent = p.parent AND v.question = p.question AND list_contains(p.survivors, v.outcome)
  QUALIFY row_number() OVER (PARTITION BY v.verse ORDER BY p.block_number, p.log_index) = 1
  UNION ALL
  SELECT verse, 'reported', block_number, log_index, block_timestamp
  FROM report_worlds
  QUALIFY row_number() OVER (PARTITION BY verse ORDER BY block_number, log_index) = 1
  UNION ALL
  SELECT s.verse, CASE WHEN a.outcome = s.outcome THEN 'happened' ELSE 'collapsed' END, a.block_number, a.log_index,
         a.block_timestamp
  FROM verse_answers s
  JOIN answers a USING (question)
  WINDOW whole AS (PARTITION BY s.verse)
  QUALIFY CASE WHEN bool_or(a.outcome <> s.outcome) OVER whole
    THEN a.outcome <> s.outcome
      AND row_number() OVER (PARTITION BY s.verse, a.outcome <> s.outcome ORDER BY a.block_number, a.log_index) = 1
    ELSE count(*) OVER whole = (SELECT v.depth FROM verses v WHERE v.verse = s.verse)
      AND row_number() OVER (PARTITION BY s.verse ORDER BY a.block_number DESC, a.log_index DESC) = 1 END
)
SELECT verse, lag(target, 1, 'unopened') OVER (PARTITION BY verse ORDER BY block_number, log_index) AS source, target, entered_at,
       block_number, log_index,
       CASE target WHEN 'open' THEN source = 'unopened' WHEN 'reported' THEN source = 'open'
                   ELSE source IN ('open', 'reported') END AS composes
FROM steps
ORDER BY verse, block_number, log_index;

-- Stigmergy: the traces that a verse's lane left, one for each provider that succeeded in it, in the order of its first
-- success. Each one follows the one before; the first stands at the verse's own seed.
CREATE OR REPLACE VIEW stigmergy_traces AS
SELECT verse || '/' || nth AS trace_id,
       hex64(list_reduce(moves, lambda seed, move: add64(splitmix64(seed), move), word64(verse))) AS seed_hex,
       trit, gf3_colour(trit) AS color_hex, gf3_role(trit) AS agent_role, provider_id AS environment_key,
       invocation_id AS environment_value, latency_ms AS causality_ms,
       CASE WHEN nth > 1 THEN verse || '/' || (nth - 1) END AS parent_trace_id, running AS gf3_running_sum,
       began_at AS created_at, verse || '/1' AS root_trace_id
FROM (
  SELECT *, row_number() OVER lane AS nth, (sum(trit) OVER lane)::INT AS running, list(trit64(trit)) OVER lane AS moves
  FROM (
    SELECT i.verse_id AS verse, i.provider_id, p.trit, min(i.invoked_at) AS began_at, sum(i.latency_ms) AS latency_ms,
           arg_min(i.invocation_id, (i.invoked_at, i.invocation_id)) AS invocation_id
    FROM provider_invocations i
    JOIN runtime_providers p USING (provider_id)
    WHERE i.verse_id IS NOT NULL AND p.trit IS NOT NULL AND json_extract(i.output_result, '$.error') IS NULL
    GROUP BY i.verse_id, i.provider_id, p.trit
  )
  WINDOW lane AS (PARTITION BY verse ORDER BY began_at, invocation_id ROWS UNBOUNDED PRECEDING)
  ORDER BY verse, nth
);

-- By the chain's root: by parent, each trace would be alone and a balanced lane look unbalanced.
CREATE OR REPLACE VIEW stigmergy_gf3_check AS
SELECT root_trace_id, sum(trit) AS trit_sum, count(*) AS trace_count, sum(trit) % 3 = 0 AS gf3_conserved
FROM stigmergy_traces
GROUP BY root_trace_id
ORDER BY root_trace_id;

-- What a keeper observed, without what differs from run to run: names, times and transactions. Ordered before that is left out, so
-- that it is left out of no more rows than are asked for.
CREATE OR REPLACE VIEW observations AS
SELECT keeper_id, epoch, seq, step, kind,
       json_merge_patch(event, '{"invocationId": null, "entityId": null, "parentId": null, "snapshotId": null,
         "branchId": null, "parentEntityId": null, "childEntityIds": null, "resolutionId": null, "wevId": null,
         "linkId": null, "latencyMs": null, "bootTimeMs": null, "snapshotTimeMs": null, "branchTimeMs": null,
         "executeTimeMs": null, "pullUpTimeMs": null, "memoryOverheadMb": null, "memoryMib": null, "txHash": null,
         "blockNumber": null, "triggerTx": null, "triggerBlock": null, "output": null, "input": null}') AS seen
FROM (
  SELECT *, row_number() OVER (PARTITION BY keeper_id, epoch ORDER BY seq) AS step
  FROM journal
  WHERE kind IN ('partition.started', 'world.executed', 'partition.reported', 'partition.failed', 'wev.measured',
                 'question.answered', 'partition.resolved')
  ORDER BY keeper_id, epoch, seq
);

-- Whether two journals are bisimilar: at every step the same is observed, and they end together. Else the first step at which
-- they part, and what each saw there.
CREATE OR REPLACE MACRO journal_bisimilarity(keeper1, epoch1, keeper2, epoch2) AS TABLE
WITH steps AS (
  SELECT coalesce(a.step, b.step) AS step, a.seen AS seen1, b.seen AS seen2, a.seen IS NOT DISTINCT FROM b.seen AS same
  FROM (SELECT step, seen FROM observations WHERE keeper_id = keeper1 AND epoch = epoch1) a
  FULL JOIN (SELECT step, seen FROM observations WHERE keeper_id = keeper2 AND epoch = epoch2) b ON a.step = b.step
)
SELECT bool_and(same) AS bisimilar, count(*) AS steps, min(step) FILTER (NOT same) AS parts_at,
       arg_min(seen1, step) FILTER (NOT same) AS seen1, arg_min(seen2, step) FILTER (NOT same) AS seen2
FROM steps;

-- The graph of worlds as node-link JSON (as NetworkX and D3 read it): one row, one document. Put together as text: as JSON values it
-- would take several times as much memory.
CREATE OR REPLACE VIEW branch_graph AS
SELECT ('{"directed":true,"multigraph":false,"graph":{},"nodes":[' || coalesce(nodes, '') || '],"links":[' || coalesce(links, '') || ']}')::JSON
  AS document
FROM (
  SELECT string_agg(json_object(
    'id', e.entity_id, 'type', e.entity_type, 'state', e.state, 'trit', e.trit, 'verse', w.verse, 'name', w.name,
    'provider', w.provider_id)::VARCHAR, ',' ORDER BY e.entity_id) AS nodes
  FROM world_runtime_entities e LEFT JOIN worlds w USING (entity_id)
), (
  SELECT string_agg(json_object('source', source, 'target', target, 'branch', branch_id, 'type', branch_type)::VARCHAR, ','
    ORDER BY branch_id, target) AS links
  FROM (SELECT parent_entity_id AS source, unnest(child_entity_ids) AS target, branch_id, branch_type FROM world_branches)
);
