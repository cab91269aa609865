-- What oracles did, one row a move: a proposal, a dispute, a call of the arbitrator, its ruling, or what told the ledger. `round`
-- counts a question's answers from 0; `is_right` says whether an answer is the one that came to stand, null until one does.
CREATE OR REPLACE VIEW oracle_moves AS
SELECT m.question, q.title, m.oracle, coalesce(o.kind, 'account') AS oracle_kind, m.move, m.round, m.account, m.outcome,
       l.label, m.bond, CASE WHEN m.outcome IS NOT NULL THEN m.outcome = q.winner END AS is_right,
       epoch(m.block_timestamp)::BIGINT - epoch(asked.block_timestamp)::BIGINT AS seconds_after_asking,
       q.deadline::HUGEINT - epoch(m.block_timestamp)::HUGEINT AS seconds_to_spare,
       m.block_number, m.block_timestamp, m.tx_hash, m.log_index
FROM (
  SELECT question, oracle, CASE WHEN round = 0 THEN 'proposal' ELSE 'dispute' END AS move, round, answerer AS account,
         outcome, bond, block_number, block_timestamp, tx_hash, log_index
  FROM (SELECT *, row_number() OVER (PARTITION BY question ORDER BY block_number, log_index) - 1 AS round FROM game_answers)
  UNION ALL
  SELECT question, oracle, 'arbitration', NULL, requester, NULL, NULL, block_number, block_timestamp, tx_hash, log_index
  FROM arbitration_requests
  UNION ALL
  SELECT question, oracle, 'ruling', NULL, NULL, outcome, NULL, block_number, block_timestamp, tx_hash, log_index
  FROM arbitrator_rulings
  UNION ALL
  SELECT a.question, q.oracle, CASE WHEN a.expired THEN 'expiry' ELSE 'settlement' END, NULL, NULL, a.outcome, NULL,
         a.block_number, a.block_timestamp, a.tx_hash, a.log_index
  FROM answers a JOIN questions q USING (question)
) m
JOIN v_questions q USING (question)
JOIN questions asked USING (question)
LEFT JOIN oracles o ON o.oracle = m.oracle
LEFT JOIN outcomes l ON l.question = m.question AND l.outcome = m.outcome
ORDER BY m.block_number, m.log_index;

-- Optimistic games, one row each: how many answers, what is at stake, who stands to take it, and what came of it.
CREATE OR REPLACE VIEW oracle_games AS
SELECT g.question, q.title, g.oracle, g.answers, g.answers - 1 AS disputes, g.pot, g.proposed_at, g.last_at,
       g.first_outcome, g.standing_outcome, g.standing_bond, g.leader AS standing_answerer,
       a.requester, a.block_timestamp AS arbitration_at, r.outcome AS ruling, q.winner, q.expired,
       epoch(s.block_timestamp)::BIGINT - epoch(g.proposed_at)::BIGINT AS seconds_to_settle,
       coalesce(c.claimed, 0::BIGNUM) AS claimed
FROM (
  SELECT question, any_value(oracle) AS oracle, count(*)::INT AS answers, sum(bond) AS pot,
         min(block_timestamp) AS proposed_at, max(block_timestamp) AS last_at,
         arg_min(outcome, (block_number, log_index)) AS first_outcome,
         arg_max(outcome, (block_number, log_index)) AS standing_outcome,
         arg_max(bond, (block_number, log_index)) AS standing_bond,
         arg_max(answerer, (block_number, log_index)) AS leader
  FROM game_answers GROUP BY question
) g
JOIN v_questions q USING (question)
LEFT JOIN arbitration_requests a USING (question)
LEFT JOIN arbitrator_rulings r USING (question)
LEFT JOIN answers s USING (question)
LEFT JOIN (SELECT question, sum(amount) AS claimed FROM bond_claims GROUP BY question) c USING (question)
ORDER BY g.proposed_at, g.question;

-- How each kind of oracle did: questions asked and answered, how many only time decided, disputes, and what was taken of bonds.
CREATE OR REPLACE VIEW oracle_kinds AS
SELECT coalesce(o.kind, 'account') AS oracle_kind, count(*) AS questions, count(q.winner) AS answered,
       count(*) FILTER (WHERE q.expired) AS expired, coalesce(sum(g.disputes), 0)::BIGINT AS disputes,
       median(t.seconds_to_answer) AS median_seconds_to_answer
FROM v_questions q
LEFT JOIN oracles o ON o.oracle = q.oracle
LEFT JOIN oracle_games g USING (question)
LEFT JOIN oracle_timeliness t USING (question)
GROUP BY 1 ORDER BY 1;
