-- What two keepers did for the partitions whose parents have a world: of each, one world branched into nash, optimal and chaos,
-- eight calls for each of these, and their journals' entries. The groups are the ledger's.

CREATE TEMP TABLE parts AS
SELECT v.n // 4 AS part, v.g, v.depth, v.above, v.n AS first, coalesce(v.above, -1) AS parent_place,
       'k' || v.g % 2 AS keeper_id, r.parent, r.question, r.block_number, r.block_timestamp AS moment, r.tx_hash
FROM v JOIN report_worlds r USING (verse)
-- No world is run for void, nor below it.
WHERE v.outcome = 0 AND (v.above IS NULL OR (v.above % 4 <> 3 AND (v.depth = 2 OR ((v.above - 4) // 4) % 4 <> 3)));
CREATE TEMP TABLE lanes AS
SELECT parts.* EXCLUDE (above), o, v.n, v.verse, v.place, 'w' || v.n AS world, w.state_root, w.cost,
       CASE parts.depth WHEN 1 THEN 'r' || v.g ELSE 'w' || (v.g * 84 + parent_place) END AS parent_world
FROM parts, range(3) r(o) JOIN v ON v.n = parts.first + o JOIN report_worlds w USING (verse);

-- The providers come with the project's own roster.
CREATE TEMP TABLE generators AS SELECT provider_id, row_number() OVER (ORDER BY provider_id) - 1 AS k
FROM runtime_providers WHERE trit = 1 AND status = 'available';
INSERT INTO world_runtime_entities
SELECT 'r' || g, 'sandbox', NULL, 's' || g, 0, 'snapshotted', 64, 1, 40 + draw('boot', g, 100), moment, NULL
FROM parts WHERE depth = 1 ORDER BY moment, g;
INSERT INTO world_runtime_entities
SELECT world, 'verse', parent_world, NULL, [-1, 0, 1][o + 1], CASE WHEN g % 4 = 0 THEN 'collapsed' ELSE 'running' END, 64, 1,
       1 + draw('boot', n, 50), moment, CASE WHEN g % 4 = 0 THEN moment + INTERVAL 7 DAY END
FROM lanes ORDER BY moment, n;
INSERT INTO world_branches
SELECT 'b' || part, any_value(parent_world), list(world ORDER BY o), 'push_down', 5 + draw('snap', part, 60), 0, any_value(moment)
FROM lanes GROUP BY part ORDER BY any_value(moment), part;
INSERT INTO worlds
SELECT 'r' || g, keeper_id, 'quickjs', NULL, NULL, NULL, NULL, NULL FROM parts WHERE depth = 1 ORDER BY g;
INSERT INTO worlds
SELECT world, keeper_id, provider_id, verse, ['nash', 'optimal', 'chaos'][o + 1], state_root, cost::HUGEINT, 3 + draw('run', n, 200)
FROM lanes JOIN generators ON k = g % (SELECT count(*) FROM generators) ORDER BY n;
INSERT INTO runtime_metrics
SELECT 'm' || entity_id, entity_id, boot_time_ms, 5 + draw('snap', entity_id, 60), 1 + draw('branch', entity_id, 30), draw('mb', entity_id, 64), created_at
FROM world_runtime_entities ORDER BY created_at, entity_id;
INSERT INTO runtime_metrics
SELECT 'b' || branch_id, parent_entity_id, NULL, snapshot_time_ms, 1 + draw('branch', branch_id, 30), NULL, branched_at
FROM world_branches ORDER BY branched_at, branch_id;
INSERT INTO branch_spectra SELECT 'r' || g, 40, 117, 3.1, 2.2, -1.4, 0.9, true, 4.2, 2.1 FROM parts WHERE depth = 1 ORDER BY g;

-- Eight calls a lane: four of its generator, then optimised, run, verified; one in fifty fails, and is called again.
CREATE TEMP TABLE calls AS
SELECT lanes.*, nth, op, CASE trit WHEN 1 THEN gen.provider_id WHEN 0 THEN 'grpo' ELSE 'replay' END AS provider_id,
       nth IN (2, 4) AND draw('fails', lanes.n * 8 + nth, 50) = 0 AS failed
FROM lanes JOIN generators gen ON k = g % (SELECT count(*) FROM generators),
     (VALUES (0, 'create', 1), (1, 'branch', 1), (2, 'execute', 1), (3, 'execute', 1),
             (4, 'optimize', 0), (5, 'optimize', 0), (6, 'execute', 1), (7, 'verify', -1)) ops(nth, op, trit);
INSERT INTO provider_invocations
SELECT 'i' || (n * 8 + nth), provider_id, op, verse,
       json_object('instance', world, 'nth', nth, 'seed', n),
       CASE WHEN failed THEN json_object('error', json_object('code', 'WORLD_BUSY', 'message', 'the world is busy'))
            ELSE json_object('stateRoot', state_root, 'report', json_object('cost', cost::VARCHAR)) END,
       1 + draw('ms', n * 8 + nth, 400) * draw('far', n * 8 + nth, 100) / 100.0, draw('units', n * 8 + nth, 100) / 1000.0,
       moment + to_milliseconds(nth * 50)
FROM calls ORDER BY moment, n, nth;
INSERT INTO provider_links
SELECT 'k' || k || '/' || provider_id, 'keeper', provider_id, '{}', TIMESTAMP '2026-01-01' FROM runtime_providers, range(2) r(k) ORDER BY ALL;

INSERT INTO resolutions
SELECT 'x' || part, keeper_id, parent, question, a.block_number FROM parts JOIN answers a USING (question) ORDER BY part;
INSERT INTO verse_resolutions
SELECT 'x' || part, list(verse ORDER BY o), arg_min(verse, o), 'optimistic', (3 * 10.0 ** (7 - any_value(depth))), 10 + draw('up', part, 90), a.block_timestamp
FROM lanes JOIN answers a USING (question) GROUP BY part, a.block_timestamp ORDER BY a.block_timestamp, part;
INSERT INTO world_extractable_value
SELECT 'e' || part, '0x' || left(sha256(part::VARCHAR), 16), min(world) FILTER (o = 0), min(world) FILTER (o = 1), 1.33, 0.43, 0.33, 0.33,
       'active_inference', NULL, any_value(moment) FROM lanes GROUP BY part ORDER BY part;

-- The journals, entry by entry in the order of time.
CREATE TEMP TABLE told AS
SELECT keeper_id, moment, part AS a, 0 AS b, 'partition.started' AS kind,
       json_object('kind', 'partition.started', 'parent', parent, 'question', question, 'triggerTx', tx_hash, 'triggerBlock', block_number) AS event
FROM parts
UNION ALL
SELECT keeper_id, moment, n, 1, 'world.created',
       json_object('kind', 'world.created', 'entityId', world, 'entityType', 'verse', 'providerId', 'quickjs', 'parentId', parent_world,
                   'snapshotId', NULL, 'verseId', verse, 'name', NULL, 'trit', o - 1, 'memoryMib', 64, 'vcpuCount', 1, 'bootTimeMs', 1)
FROM lanes
UNION ALL
SELECT keeper_id, moment + INTERVAL 1 SECOND, n, 2, 'world.executed',
       json_object('kind', 'world.executed', 'entityId', world, 'verseId', verse, 'stateRoot', state_root, 'cost', cost::VARCHAR, 'executeTimeMs', 3)
FROM lanes
UNION ALL
SELECT keeper_id, moment + to_milliseconds(nth * 50), n, 3 + nth, 'provider.invoked',
       json_object('kind', 'provider.invoked', 'invocationId', 'i' || (n * 8 + nth), 'providerId', provider_id, 'operation', op, 'verseId', verse,
                   'input', json_object('instance', world), 'output', json_object('stateRoot', state_root), 'error', NULL, 'latencyMs', 1, 'costUnits', 1)
FROM calls
UNION ALL
SELECT keeper_id, moment + INTERVAL 2 SECOND, part, 20, 'partition.reported',
       json_object('kind', 'partition.reported', 'parent', parent, 'question', question, 'winner', 1, 'probabilities', ['45', '35', '20', '0'],
                   'txHash', tx_hash, 'blockNumber', block_number, 'latencyMs', 900)
FROM parts
UNION ALL
SELECT keeper_id, moment + INTERVAL 2 SECOND, part, 21, 'wev.measured',
       json_object('kind', 'wev.measured', 'wevId', 'e' || part, 'parent', parent, 'question', question, 'costNash', '4', 'costOptimal', '3',
                   'priceOfAnarchy', '1330000000000000000', 'wevRatio', '330000000000000000', 'wevAbs', (part * 10::HUGEINT ** 14)::VARCHAR, 'isInverted', false)
FROM parts
UNION ALL
SELECT keeper_id, a.block_timestamp, part, 22, 'partition.resolved',
       json_object('kind', 'partition.resolved', 'resolutionId', 'x' || part, 'parent', parent, 'question', question, 'blockNumber', a.block_number)
FROM parts JOIN answers a USING (question)
UNION ALL
SELECT 'k' || k, TIMESTAMP '2026-01-01', row_number() OVER (ORDER BY provider_id), 30, 'provider.registered',
       json_object('kind', 'provider.registered', 'providerId', provider_id, 'name', name, 'trit', trit, 'status', status, 'reason', '',
                   'declared', json_object('branchMs', 250))
FROM runtime_providers, range(2) r(k);
INSERT INTO journal
SELECT keeper_id, 1, row_number() OVER (PARTITION BY keeper_id ORDER BY moment, a, b), moment, kind, event FROM told ORDER BY keeper_id, moment, a, b;
INSERT INTO keepers SELECT keeper_id, 1, max(seq) FROM journal GROUP BY keeper_id ORDER BY keeper_id;
