-- Trits and what they add up to. A bundle is any list of trits: conserved when the sum is 0 mod 3, balanced when there are as
-- many +1 as -1 and at least one 0, a triad when there are three.

CREATE OR REPLACE MACRO gf3_residue(s) AS ((s % 3) + 3) % 3;
-- The trit that closes a bundle with this sum.
CREATE OR REPLACE MACRO gf3_missing(s) AS CASE gf3_residue(s) WHEN 0 THEN 0 WHEN 1 THEN -1 ELSE 1 END;
CREATE OR REPLACE MACRO gf3_conserved(trits) AS list_sum(trits) % 3 = 0;
CREATE OR REPLACE MACRO gf3_balanced(trits) AS
  len(list_filter(trits, lambda t: t = 1)) = len(list_filter(trits, lambda t: t = -1)) AND list_contains(trits, 0);
CREATE OR REPLACE MACRO gf3_role(trit) AS
  CASE trit WHEN 1 THEN 'Generator' WHEN 0 THEN 'Coordinator' WHEN -1 THEN 'Validator' END;
CREATE OR REPLACE MACRO gf3_colour(trit) AS
  CASE trit WHEN 1 THEN '#D82626' WHEN 0 THEN '#26D826' WHEN -1 THEN '#2626D8' END;

-- Whether a walk may be committed: no step goes straight back on the one before, and the trits are conserved at its end.
CREATE OR REPLACE MACRO walk_commits(trits, places) AS
  gf3_conserved(trits)
  AND len(list_filter(range(3, len(places) + 1), lambda i: places[i] = places[i - 2])) = 0;

-- Whether three colour indices match at a depth: they agree modulo 3^depth.
CREATE OR REPLACE MACRO three_match(a, b, c, depth) AS
  (a - b) % pow(3, depth)::BIGINT = 0 AND (b - c) % pow(3, depth)::BIGINT = 0;

-- The check of a push-down's worlds: there are at least three, none twice and none on its own way down, and their trits are
-- conserved.
CREATE OR REPLACE VIEW push_down_matches AS
WITH RECURSIVE children AS (
  SELECT b.branch_id, b.parent_entity_id, e.entity_id, e.trit
  FROM (
    SELECT branch_id, parent_entity_id, unnest(child_entity_ids) AS child
    FROM world_branches WHERE branch_type = 'push_down'
  ) b
  JOIN world_runtime_entities e ON e.entity_id = b.child
), way AS (
  SELECT branch_id, parent_entity_id AS entity_id FROM world_branches WHERE branch_type = 'push_down'
  UNION
  SELECT way.branch_id, e.parent_id
  FROM way JOIN world_runtime_entities e USING (entity_id)
  WHERE e.parent_id IS NOT NULL
)
SELECT branch_id, count(*) AS worlds, count(*) = count(DISTINCT entity_id) AS distinct_worlds,
       count(*) FILTER ((branch_id, entity_id) IN (SELECT branch_id, entity_id FROM way)) AS revisited,
       sum(trit) AS trit_sum,
       count(*) >= 3 AND distinct_worlds AND revisited = 0 AND sum(trit) % 3 = 0 AS matches
FROM children
GROUP BY branch_id
ORDER BY branch_id;

-- What each triad comes to.
CREATE OR REPLACE VIEW v_triads AS
SELECT t.triad_id, any_value(t.name) AS name, string_agg(m.member || CASE m.trit WHEN 1 THEN '(+1)' ELSE '(' || m.trit || ')' END, ' ⊗ ' ORDER BY m.place)
         AS members, sum(m.trit) AS trit_sum, gf3_conserved(list(m.trit)) AS conserved, gf3_balanced(list(m.trit)) AS balanced,
       count(*) = 3 AS is_triad
FROM triads t
JOIN triad_members m USING (triad_id)
GROUP BY t.triad_id
ORDER BY t.triad_id;
