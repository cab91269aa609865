-- Views are made anew at every start, so they need no migration.

-- Every event of the ledger, of the keepers' notebook and of optimistic games, in the chain's order when sorted by block_number, log_index.
CREATE OR REPLACE VIEW events AS
SELECT 'QuestionAsked' AS kind, event_id, block_number, block_hash, block_timestamp, tx_hash, log_index,
       oracle AS account, question, NULL::VARCHAR AS verse, NULL::VARCHAR AS token, NULL::VARCHAR AS position,
       NULL::BIGNUM AS amount
FROM questions
UNION ALL
SELECT 'SpecPublished', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index,
       NULL, question, NULL, NULL, NULL, NULL
FROM spec_publications
UNION ALL
SELECT 'QuestionNarrowed', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index,
       NULL, question, NULL, NULL, NULL, NULL
FROM narrowings
UNION ALL
SELECT 'QuestionResolved', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index,
       NULL, question, NULL, NULL, NULL, NULL
FROM answers
UNION ALL
SELECT 'PushDown', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index,
       owner, question, parent, token, NULL, amount::BIGNUM
FROM push_downs
UNION ALL
SELECT 'PullUp', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index,
       owner, question, parent, token, NULL, amount::BIGNUM
FROM pull_ups
UNION ALL
SELECT 'Transfer', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index,
       sender, NULL, NULL, NULL, position, amount::BIGNUM
FROM transfers
UNION ALL
SELECT 'Approval', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index,
       owner, NULL, NULL, NULL, position, amount
FROM approvals
UNION ALL
SELECT 'OperatorSet', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index,
       owner, NULL, NULL, NULL, NULL, NULL
FROM operator_changes
UNION ALL
SELECT 'RedeemerSet', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index,
       owner, NULL, NULL, NULL, NULL, NULL
FROM redeemer_changes
UNION ALL
SELECT 'PositionDescribed', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index,
       NULL, NULL, verse, token, position, NULL
FROM position_descriptions
UNION ALL
SELECT 'PartitionReported', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index,
       keeper, question, parent, NULL, NULL, NULL
FROM partition_reports
UNION ALL
SELECT DISTINCT 'ProbabilitiesUpdated', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index,
       keeper, question, parent, NULL, NULL, NULL::BIGNUM
FROM probability_updates
UNION ALL
SELECT 'AnswerGiven', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index,
       answerer, question, NULL, NULL, NULL, bond
FROM game_answers
UNION ALL
SELECT 'ArbitrationRequested', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index,
       requester, question, NULL, NULL, NULL, NULL
FROM arbitration_requests
UNION ALL
SELECT 'ArbitratorRuled', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index,
       oracle, question, NULL, NULL, NULL, NULL
FROM arbitrator_rulings
UNION ALL
SELECT 'BondsClaimed', event_id, block_number, block_hash, block_timestamp, tx_hash, log_index,
       account, question, NULL, NULL, NULL, amount
FROM bond_claims;

-- Who may pull up for whom, now.
CREATE OR REPLACE VIEW redeemers AS
SELECT owner, redeemer
FROM redeemer_changes
GROUP BY owner, redeemer
HAVING arg_max(allowed, (block_number, log_index));

-- Questions as of the mirrored head. `live` are the outcomes still possible; a deadline that passed decides for void
-- (`state` expired) whether or not anybody recorded it.
CREATE OR REPLACE VIEW v_questions AS
SELECT q.question, s.title, q.oracle, q.outcomes, q.deadline, q.spec_hash, q.terms_hash, q.block_number, q.winner,
       q.expired,
       CASE WHEN q.status = 'resolved' THEN 'resolved' WHEN past THEN 'expired' ELSE q.status END AS state,
       CASE WHEN q.status <> 'resolved' AND past THEN [q.outcomes - 1]::UTINYINT[] ELSE q.survivors END AS live
FROM (
  SELECT *, coalesce((SELECT epoch(head_timestamp) FROM mirror) >= deadline, false) AS past FROM questions
) q
LEFT JOIN specs s USING (question);

-- The answers of each verse with their labels. A verse can be described before its question is asked: then all is possible.
CREATE OR REPLACE VIEW v_verse_answers AS
SELECT a.verse, a.step, a.question, a.outcome,
       coalesce(o.label, left(a.question, 10) || '=' || a.outcome) AS label,
       coalesce(list_contains(q.live, a.outcome), true) AS possible,
       coalesce(len(q.live) = 1, false) AS decided
FROM verse_answers a
LEFT JOIN v_questions q USING (question)
LEFT JOIN outcomes o USING (question, outcome);

-- What keepers last said of a verse: its probability, conditional on the parent it was opened from.
CREATE OR REPLACE VIEW v_probabilities AS
SELECT verse, arg_max(probability, (block_number, log_index)) AS probability
FROM (
  SELECT verse, probability, block_number, log_index FROM report_worlds
  UNION ALL
  SELECT w.verse, u.probability, u.block_number, u.log_index
  FROM probability_updates u
  JOIN report_worlds w USING (keeper, parent, question, outcome)
)
GROUP BY verse;

-- The amounts in a verse, by token.
CREATE OR REPLACE VIEW v_supplies AS
SELECT p.verse, p.token, t.symbol, s.position, s.amount,
       s.amount::DOUBLE / pow(10, coalesce(t.decimals, 0)) AS display
FROM supplies s
JOIN positions p USING (position)
LEFT JOIN tokens t USING (token);

-- What became of each verse. `state`: alive while all its answers are possible, happened when they are decided, collapsed when
-- one is ruled out.
CREATE OR REPLACE VIEW v_states AS
SELECT v.verse, coalesce(l.label, 'root') AS label,
       CASE WHEN NOT coalesce(a.possible, true) THEN 'collapsed' WHEN coalesce(a.decided, false) THEN 'happened'
            ELSE 'alive' END AS state
FROM verses v
LEFT JOIN verse_labels l USING (verse)
LEFT JOIN (
  SELECT a.verse, bool_and(coalesce(list_contains(q.live, a.outcome), true)) AS possible,
         bool_and(coalesce(len(q.live) = 1, false)) AS decided
  FROM verse_answers a
  LEFT JOIN v_questions q USING (question)
  GROUP BY a.verse
) a USING (verse);

-- The tree of verses. `probability` has 18 decimals.
CREATE OR REPLACE VIEW v_verses AS
SELECT v.verse, s.label, v.depth, v.parent, v.question, v.outcome, v.path, v.block_number, s.state, p.probability,
       -- Looked up for each verse that is asked for: all of them take seconds.
       (SELECT list_sort(list({'token': token, 'symbol': symbol, 'amount': amount})) FROM (
          SELECT held.token, (SELECT symbol FROM tokens t WHERE t.token = held.token) AS symbol,
                 (SELECT amount FROM supplies WHERE supplies.position = held.position) AS amount
          FROM positions held WHERE held.verse = v.verse
        ) WHERE amount IS NOT NULL) AS supplies
FROM verses v
JOIN v_states s USING (verse)
LEFT JOIN v_probabilities p USING (verse);

-- Who owns what, where.
CREATE OR REPLACE VIEW v_balances AS
SELECT b.owner, p.token, t.symbol, p.verse, s.label, v.path, s.state, b.position, b.amount,
       b.amount::DOUBLE / pow(10, coalesce(t.decimals, 0)) AS display
FROM balances b
JOIN positions p USING (position)
JOIN verses v USING (verse)
JOIN v_states s USING (verse)
LEFT JOIN tokens t USING (token)
WHERE b.amount > 0::BIGNUM;

-- What each answer was worth, exactly and for display.
CREATE OR REPLACE VIEW v_wev AS
SELECT w.question, q.title, w.token, t.symbol, w.winner, o.label AS winner_label, w.wev_nominal, w.wev_realized, w.total,
       w.wev_nominal::DOUBLE / pow(10, coalesce(t.decimals, 0)) AS nominal_display,
       w.wev_realized::DOUBLE / pow(10, coalesce(t.decimals, 0)) AS realized_display, w.block_number
FROM wev_exact w
LEFT JOIN v_questions q USING (question)
LEFT JOIN outcomes o ON o.question = w.question AND o.outcome = w.winner
LEFT JOIN tokens t USING (token);
