-- The deployment's oracle contracts by kind: optimistic, committee, reality, price. Any other oracle is an account of its own.
CREATE TABLE oracles (oracle VARCHAR PRIMARY KEY, kind VARCHAR NOT NULL);

-- Optimistic games: who answered what with which bond, who called the arbitrator, what it ruled, who took how much. The first
-- answer of a question is a proposal, each later one a dispute.
CREATE TABLE game_answers (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  oracle VARCHAR NOT NULL,
  question VARCHAR NOT NULL,
  answerer VARCHAR NOT NULL,
  outcome UTINYINT NOT NULL,
  bond BIGNUM NOT NULL,
  evidence_hash VARCHAR NOT NULL
);

CREATE TABLE arbitration_requests (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  oracle VARCHAR NOT NULL,
  question VARCHAR NOT NULL,
  requester VARCHAR NOT NULL,
  -- Unix seconds.
  until UBIGINT NOT NULL
);

CREATE TABLE arbitrator_rulings (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  oracle VARCHAR NOT NULL,
  question VARCHAR NOT NULL,
  outcome UTINYINT NOT NULL
);

CREATE TABLE bond_claims (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  oracle VARCHAR NOT NULL,
  question VARCHAR NOT NULL,
  account VARCHAR NOT NULL,
  receiver VARCHAR NOT NULL,
  amount BIGNUM NOT NULL
);
