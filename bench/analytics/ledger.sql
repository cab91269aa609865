-- A ledger with a history of `events` events, drawn from hashes: the same every time. Everything is a function of small numbers,
-- which only at the end become the ids, addresses and amounts of the project's own tables.
--
-- A group is three questions of four outcomes, opened below each other from ROOT: 4 + 16 + 64 verses. Each of 8 tokens is pushed
-- down into all of them, so a group has 672 positions. What is left of the events are transfers, mostly of few positions.

-- Numbers from 0 to below, by a name and what they are drawn for.
CREATE OR REPLACE TEMP MACRO draw(name, i, below) AS (hash(name, i) % below)::INT;
CREATE OR REPLACE TEMP MACRO word(name, i) AS '0x' || sha256(name || i);
CREATE OR REPLACE TEMP MACRO account(name, i) AS '0x' || left(sha256(name || i), 40);
CREATE OR REPLACE TEMP MACRO at_block(block) AS
  make_timestamp((getvariable('last_timestamp') - (getvariable('last_block') - block) * getvariable('interval')) * 1000000);
CREATE OR REPLACE TEMP MACRO hash_of(block) AS
  CASE WHEN block = getvariable('last_block') THEN getvariable('last_hash') ELSE word('block', block) END;

CREATE TEMP TABLE sizes AS
SELECT ceil(getvariable('positions') / 672)::INT AS groups, 10000 AS owners, 500 AS per_block;

INSERT INTO tokens
SELECT account('token', t), 'Token ' || t, 'TOK' || t, 18 FROM range(8) r(t);

CREATE TEMP TABLE q AS
SELECT g * 3 + level - 1 AS n, g, level, word('question', g * 3 + level - 1) AS question,
       -- One group in four is answered, of one the first question, of one it is narrowed, and one is open.
       CASE WHEN g % 4 = 0 OR (g % 4 = 1 AND level = 1) THEN draw('winner', g * 3 + level, 3) END AS winner,
       g % 4 = 2 AND level = 1 AS narrowed
FROM range((SELECT groups FROM sizes)) r(g), range(1, 4) l(level);

-- `place` counts a group's verses: 0 to 3 below ROOT, then 4 for each of these, then 4 for each of those.
CREATE TEMP TABLE v AS
SELECT g * 84 + place AS n, g, place, word('verse', g * 84 + place) AS verse,
       CASE WHEN place < 4 THEN 1 WHEN place < 20 THEN 2 ELSE 3 END AS depth,
       CASE WHEN place < 4 THEN NULL WHEN place < 20 THEN (place - 4) // 4 ELSE 4 + (place - 20) // 4 END AS above,
       place % 4 AS outcome
FROM range((SELECT groups FROM sizes)) r(g), range(84) p(place);

-- The answers on each verse's way, ascending as its path has them.
CREATE TEMP TABLE way AS
WITH RECURSIVE up(n, g, place, depth) AS (
  SELECT n, g, place, depth FROM v
  UNION ALL
  SELECT up.n, up.g, v.above, up.depth - 1 FROM up JOIN v ON v.g = up.g AND v.place = up.place WHERE v.above IS NOT NULL
)
SELECT up.n, q.question, (up.place % 4)::UTINYINT AS outcome,
       row_number() OVER (PARTITION BY up.n ORDER BY q.question) AS step
FROM up JOIN q ON q.g = up.g AND q.level = up.depth;
CREATE TEMP TABLE paths AS
SELECT n, to_json(list({'question': question, 'outcome': outcome} ORDER BY step)) AS path FROM way GROUP BY n;

CREATE TEMP TABLE p AS
SELECT v.n * 8 + t AS n, v.n AS verse_n, v.g, v.place, v.depth, t, word('position', v.n * 8 + t) AS position,
       -- Who pushed down, and so has most of it.
       draw('owner', v.g * 8 + t, (SELECT owners FROM sizes)) AS owner
FROM v, range(8) r(t);

-- What happened: `point` is a time from 0 to 1, `a` and `b` say to what.
CREATE TEMP TABLE happened AS
WITH began AS (
  SELECT g, 0.9 * g / (SELECT groups FROM sizes) AS begun FROM range((SELECT groups FROM sizes)) r(g)
)
SELECT 'asked' AS kind, n AS a, 0 AS b, begun AS point FROM q JOIN began USING (g)
UNION ALL SELECT 'published', n, 0, begun FROM q JOIN began USING (g)
-- A partition is named by its first child.
UNION ALL SELECT 'pushed', n, t, begun + 0.01 * depth FROM v JOIN began USING (g), range(8) r(t) WHERE outcome = 0
UNION ALL SELECT 'minted', n, t, begun + 0.01 * depth + 1e-9 FROM v JOIN began USING (g), range(8) r(t)
UNION ALL SELECT 'burned', n, t, begun + 0.01 * (depth + 1) + 1e-9 FROM v JOIN began USING (g), range(8) r(t) WHERE depth < 3
UNION ALL SELECT 'reported', n, 0, begun + 0.01 * depth + 0.002 FROM v JOIN began USING (g) WHERE outcome = 0
UNION ALL SELECT 'updated', n, 0, begun + 0.01 * depth + 0.003 FROM v JOIN began USING (g) WHERE outcome = 0
UNION ALL SELECT 'narrowed', n, 0, begun + 0.05 FROM q JOIN began USING (g) WHERE narrowed
UNION ALL SELECT 'proposed', n, r, begun + 0.06 + 0.001 * r FROM q JOIN began USING (g), range(3) x(r)
  WHERE winner IS NOT NULL AND n % 2 = 0 AND r <= n % 3
UNION ALL SELECT 'answered', n, 0, begun + 0.07 + 0.001 * level FROM q JOIN began USING (g) WHERE winner IS NOT NULL
UNION ALL SELECT 'described', n, 0, 0.95 FROM p WHERE n % 100 = 0
UNION ALL SELECT 'approved', n, 0, 0.96 FROM p WHERE n % 200 = 0
UNION ALL SELECT 'trusted', i, 0, 0.97 FROM range(500) r(i);
-- The rest are transfers of what there is by then, most of what came last: from who pushed down to one of four others.
INSERT INTO happened
WITH there AS (SELECT getvariable('events') - count(*) AS rest FROM happened),
moves AS (
  SELECT i, 1.0 * (i + 1) / rest AS point, 1 - pow(draw('heat', i, 1000000) / 1e6, 3) AS heat FROM there, range(rest) r(i)
)
SELECT 'moved', floor(greatest(0, (point - 0.05) / 0.95) * 0.9 * heat * (SELECT groups FROM sizes))::INT * 672 + draw('spot', i, 64), i, point
FROM moves;

CREATE TEMP TABLE log AS
SELECT kind, a, b,
       getvariable('last_block') - (getvariable('events') - 1) // (SELECT per_block FROM sizes) + seq // (SELECT per_block FROM sizes) AS block,
       seq % (SELECT per_block FROM sizes) AS nth
FROM (SELECT kind, a, b, row_number() OVER (ORDER BY point, kind, a, b) - 1 AS seq FROM happened);
DROP TABLE happened;

-- The six columns that every event's row begins with; names of events sort as the chain does, as the indexer's do.
CREATE TEMP TABLE heights AS
SELECT block, hash_of(block) AS hash, at_block(block) AS moment, epoch(at_block(block))::BIGINT AS second FROM (SELECT DISTINCT block FROM log);
CREATE OR REPLACE TEMP MACRO event_name(second, block, nth) AS
  printf('%010d%016d%016d%016d5%016d', second, getvariable('chain_id'), block, nth // 4, nth);
CREATE OR REPLACE TEMP MACRO transaction_of(block, nth) AS word('transaction', block * 1000 + nth // 4);
CREATE OR REPLACE TEMP MACRO of_kind(which) AS TABLE
SELECT event_name(second, block, nth) AS event_id, block AS block_number, hash AS block_hash, moment AS block_timestamp,
       transaction_of(block, nth) AS tx_hash, nth AS log_index, a, b
FROM log JOIN heights USING (block) WHERE kind = which;

INSERT INTO questions
SELECT e.* EXCLUDE (a, b), q.question, account('oracle', q.n % 4), 4, 2000000000 + q.n, word('spec', q.n), word('terms', q.n),
       CASE WHEN q.winner IS NOT NULL THEN 'resolved' WHEN q.narrowed THEN 'narrowed' ELSE 'open' END,
       CASE WHEN q.winner IS NOT NULL THEN [q.winner] WHEN q.narrowed THEN [0, 1, 3] ELSE [0, 1, 2, 3] END,
       q.winner, CASE WHEN q.winner IS NOT NULL THEN false END
FROM of_kind('asked') e JOIN q ON q.n = e.a ORDER BY event_id;
INSERT INTO oracles SELECT account('oracle', k), ['optimistic', 'committee', 'price'][k + 1] FROM range(3) r(k);
INSERT INTO spec_publications
SELECT e.* EXCLUDE (a, b), q.question, 'data:application/json,{"title":"Question ' || q.n || '"}'
FROM of_kind('published') e JOIN q ON q.n = e.a ORDER BY event_id;
INSERT INTO specs
SELECT question, block_number, 'Question ' || a, json_object('title', 'Question ' || a)
FROM (SELECT e.*, q.question FROM of_kind('published') e JOIN q ON q.n = e.a) ORDER BY block_number, a;
INSERT INTO outcomes
SELECT s.question, s.block_number, o, ['nash', 'optimal', 'chaos', 'void'][o + 1], ['selfish', 'cooperative', 'random', NULL][o + 1],
       [-1, 0, 1, NULL][o + 1], [450000000000000000, 350000000000000000, 200000000000000000, 0][o + 1]
FROM specs s, range(4) r(o) ORDER BY ALL;
INSERT INTO narrowings
SELECT e.* EXCLUDE (a, b), q.question, [0, 1, 3] FROM of_kind('narrowed') e JOIN q ON q.n = e.a ORDER BY event_id;
INSERT INTO answers
SELECT e.* EXCLUDE (a, b), q.question, q.winner, false FROM of_kind('answered') e JOIN q ON q.n = e.a ORDER BY event_id;

INSERT INTO verses
SELECT e.* EXCLUDE (a, b), v.verse, coalesce(up.verse, '0x' || repeat('0', 64)), q.question, v.outcome, v.depth, paths.path
FROM of_kind('minted') e JOIN v ON v.n = e.a JOIN paths USING (n) JOIN q ON q.g = v.g AND q.level = v.depth
LEFT JOIN v up ON up.g = v.g AND up.place = v.above
WHERE e.b = 0 ORDER BY event_id;
INSERT INTO verse_answers
SELECT verses.block_number, v.verse, way.step, way.question, way.outcome
FROM way JOIN v USING (n) JOIN verses USING (verse) ORDER BY verses.event_id, way.step;
INSERT INTO positions
SELECT e.* EXCLUDE (a, b), p.position, v.verse, account('token', p.t)
FROM of_kind('minted') e JOIN v ON v.n = e.a JOIN p ON p.n = e.a * 8 + e.b ORDER BY event_id;
INSERT INTO push_downs
SELECT e.* EXCLUDE (a, b), coalesce(up.verse, '0x' || repeat('0', 64)), q.question, account('owner', p.owner), account('token', p.t),
       account('owner', p.owner), 10::HUGEINT ** (25 - v.depth), [0, 1, 2, 3], coalesce(paths.path, '[]')
FROM of_kind('pushed') e JOIN v ON v.n = e.a JOIN p ON p.n = e.a * 8 + e.b JOIN q ON q.g = v.g AND q.level = v.depth
LEFT JOIN v up ON up.g = v.g AND up.place = v.above LEFT JOIN paths ON paths.n = up.n ORDER BY event_id;
INSERT INTO transfers
SELECT e.* EXCLUDE (a, b, kind), account('owner', p.owner),
       CASE kind WHEN 'minted' THEN '0x' || repeat('0', 40) ELSE account('owner', p.owner) END,
       CASE kind WHEN 'minted' THEN account('owner', p.owner) WHEN 'burned' THEN '0x' || repeat('0', 40)
         ELSE account('owner', (p.owner + 1 + draw('to', e.b, 4) * 2411) % (SELECT owners FROM sizes)) END,
       p.position,
       CASE kind WHEN 'minted' THEN 10::HUGEINT ** (25 - p.depth) WHEN 'burned' THEN 10::HUGEINT ** (24 - p.depth)
         ELSE (1 + draw('amount', e.b, 1000000)) * 1000000000000::HUGEINT END
FROM (
  SELECT event_name(second, block, nth) AS event_id, block AS block_number, hash AS block_hash, moment AS block_timestamp,
         transaction_of(block, nth) AS tx_hash, nth AS log_index, kind, CASE kind WHEN 'moved' THEN a ELSE a * 8 + b END AS a, b
  FROM log JOIN heights USING (block) WHERE kind IN ('minted', 'burned', 'moved')
) e JOIN p ON p.n = e.a ORDER BY e.block_number, e.log_index;
INSERT INTO position_descriptions
SELECT e.* EXCLUDE (a, b), p.position, v.verse, account('token', p.t)
FROM of_kind('described') e JOIN p ON p.n = e.a JOIN v ON v.n = p.verse_n ORDER BY event_id;
INSERT INTO approvals
SELECT e.* EXCLUDE (a, b), account('owner', p.owner), account('owner', (p.owner + 1) % 10000), p.position, 1000::BIGNUM
FROM of_kind('approved') e JOIN p ON p.n = e.a ORDER BY event_id;
INSERT INTO redeemer_changes
SELECT e.* EXCLUDE (a, b), account('owner', e.a), account('keeper', e.a % 2), e.a % 10 <> 0 FROM of_kind('trusted') e ORDER BY event_id;
INSERT INTO game_answers
SELECT e.* EXCLUDE (a, b), account('oracle', q.n % 4), q.question, account('owner', draw('answerer', q.n * 3 + e.b, 10000)),
       CASE WHEN e.b = q.n % 3 THEN q.winner ELSE (q.winner + 1 + e.b) % 4 END, (1000 * 2 ** e.b)::BIGINT::BIGNUM, word('evidence', q.n * 3 + e.b)
FROM of_kind('proposed') e JOIN q ON q.n = e.a ORDER BY event_id;

-- Keepers' reports: nash 0.45, optimal 0.35, chaos 0.2, and then a little off.
INSERT INTO partition_reports
SELECT e.* EXCLUDE (a, b), account('keeper', v.g % 2), coalesce(up.verse, '0x' || repeat('0', 64)), q.question, coalesce(paths.path, '[]')
FROM of_kind('reported') e JOIN v ON v.n = e.a JOIN q ON q.g = v.g AND q.level = v.depth
LEFT JOIN v up ON up.g = v.g AND up.place = v.above LEFT JOIN paths ON paths.n = up.n ORDER BY event_id;
INSERT INTO report_worlds
SELECT r.event_id, r.block_number, r.block_hash, r.block_timestamp, r.tx_hash, r.log_index, r.keeper, r.parent, r.question, o,
       child.verse, word('state', child.n), (1 + draw('cost', child.n, 1000)) * 10::UHUGEINT ** 16,
       [450000000000000000, 350000000000000000, 200000000000000000, 0][o + 1], [-1, 0, 1, 0][o + 1], CASE WHEN o = 3 THEN 0 ELSE 1 END
FROM of_kind('reported') e JOIN partition_reports r USING (event_id), range(4) x(o)
JOIN v child ON child.n = e.a + o ORDER BY r.event_id, o;
INSERT INTO probability_updates
SELECT e.* EXCLUDE (a, b), r.keeper, r.parent, r.question, r.outcome,
       CASE r.outcome WHEN 0 THEN r.probability - draw('less', e.a, 1000) WHEN 1 THEN r.probability + draw('less', e.a, 1000) ELSE r.probability END
FROM of_kind('updated') e JOIN v ON v.n // 4 = e.a // 4 JOIN report_worlds r USING (verse) ORDER BY event_id, r.outcome;

INSERT INTO blocks
SELECT block, hash, moment, count(*) FROM log JOIN heights USING (block) GROUP BY ALL ORDER BY block;
UPDATE mirror SET head_number = getvariable('last_block'), head_hash = getvariable('last_hash'),
  head_timestamp = at_block(getvariable('last_block')), settled = getvariable('last_block');

-- What the mirror computes of events.
INSERT INTO balances
SELECT owner, position, sum(delta::BIGNUM) FROM (
  SELECT receiver AS owner, position, sum(amount) AS delta FROM transfers GROUP BY ALL
  UNION ALL SELECT sender, position, -sum(amount) FROM transfers GROUP BY ALL)
WHERE owner <> '0x' || repeat('0', 40) GROUP BY ALL ORDER BY ALL;
INSERT INTO supplies
SELECT position, sum(CASE WHEN sender = '0x' || repeat('0', 40) THEN amount ELSE -amount END)::BIGNUM FROM transfers
WHERE '0x' || repeat('0', 40) IN (sender, receiver) GROUP BY position ORDER BY position;
INSERT INTO supply_changes
SELECT position, block_number, block_timestamp, sum(delta::BIGNUM) OVER (PARTITION BY position ORDER BY block_number) FROM (
  SELECT position, block_number, any_value(block_timestamp) AS block_timestamp,
         sum(CASE WHEN sender = '0x' || repeat('0', 40) THEN amount ELSE -amount END) AS delta
  FROM transfers WHERE '0x' || repeat('0', 40) IN (sender, receiver) GROUP BY position, block_number)
ORDER BY block_number, position;
INSERT INTO verse_labels
SELECT a.verse, any_value(a.block_number), string_agg(o.label, ' & ' ORDER BY a.step)
FROM verse_answers a JOIN outcomes o USING (question, outcome) GROUP BY a.verse ORDER BY any_value(a.block_number), a.verse;
INSERT INTO deposits
SELECT token, sum(amount)::BIGNUM, 0::BIGNUM FROM push_downs WHERE parent = '0x' || repeat('0', 64) GROUP BY token ORDER BY token;
INSERT INTO wev_exact
SELECT a.question, account('token', t), a.block_number, a.outcome, (3 * 10::HUGEINT ** 24 + draw('wev', q.n * 8 + t, 1000000))::BIGNUM,
       draw('realized', q.n * 8 + t, 1000000)::BIGNUM, (10::HUGEINT ** 24)::BIGNUM
FROM answers a JOIN q USING (question), range(8) r(t) ORDER BY a.block_number, a.question, t;
INSERT INTO wev_partitions
SELECT DISTINCT d.parent, a.question, d.token, a.block_number, (3 * d.amount)::BIGNUM
FROM answers a JOIN push_downs d USING (question) ORDER BY ALL;
