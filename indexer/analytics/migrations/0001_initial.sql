-- Names, columns, types, keys and checks of the first eight tables are the seed documents' own; they are filled from the
-- keepers' journals. Everything else is the project's. Times are UTC, ids and addresses lower-case hex, amounts integers
-- in the token's smallest unit.

CREATE TABLE runtime_providers (
  provider_id VARCHAR PRIMARY KEY,
  name VARCHAR NOT NULL,
  trit INT CHECK (trit IN (-1, 0, 1)),
  capabilities JSON,
  api_endpoint VARCHAR,
  auth_method VARCHAR,
  status VARCHAR DEFAULT 'available',
  registered_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE provider_invocations (
  invocation_id VARCHAR PRIMARY KEY,
  provider_id VARCHAR REFERENCES runtime_providers (provider_id),
  operation VARCHAR,
  verse_id VARCHAR,
  input_params JSON,
  output_result JSON,
  latency_ms FLOAT,
  cost_units FLOAT,
  invoked_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE provider_links (
  link_id VARCHAR PRIMARY KEY,
  source_component VARCHAR,
  target_provider VARCHAR REFERENCES runtime_providers (provider_id),
  link_config JSON,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE world_runtime_entities (
  entity_id VARCHAR PRIMARY KEY,
  entity_type VARCHAR NOT NULL,
  parent_id VARCHAR,
  snapshot_id VARCHAR,
  trit INT CHECK (trit IN (-1, 0, 1)),
  state VARCHAR DEFAULT 'running',
  memory_mib INT,
  vcpu_count INT,
  boot_time_ms FLOAT,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  resolved_at TIMESTAMP
);

CREATE TABLE world_branches (
  branch_id VARCHAR PRIMARY KEY,
  parent_entity_id VARCHAR REFERENCES world_runtime_entities (entity_id),
  child_entity_ids VARCHAR[],
  branch_type VARCHAR,
  snapshot_time_ms FLOAT,
  gf3_sum INT,
  branched_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE verse_resolutions (
  resolution_id VARCHAR PRIMARY KEY,
  verses VARCHAR[],
  winning_verse VARCHAR,
  oracle_source VARCHAR,
  -- wevNominal in display units, for display only: wev_partitions has the integers.
  wev_extracted FLOAT,
  pull_up_time_ms FLOAT,
  resolved_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE runtime_metrics (
  metric_id VARCHAR PRIMARY KEY,
  entity_id VARCHAR REFERENCES world_runtime_entities (entity_id),
  boot_time_ms FLOAT,
  snapshot_time_ms FLOAT,
  branch_time_ms FLOAT,
  memory_overhead_mb FLOAT,
  measured_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE world_extractable_value (
  wev_id VARCHAR PRIMARY KEY,
  seed_hex VARCHAR,
  world_from VARCHAR,
  world_to VARCHAR,
  price_of_anarchy FLOAT,
  free_energy FLOAT,
  wev FLOAT,
  prediction_error FLOAT,
  action_direction VARCHAR,
  markov_blanket_size INT,
  extracted_at TIMESTAMP
);

-- What is mirrored: one row. `settled` is the height up to which the indexer takes blocks as final.
CREATE TABLE mirror (
  chain_id UINTEGER NOT NULL,
  multiverse VARCHAR NOT NULL,
  start_block UBIGINT NOT NULL,
  start_block_hash VARCHAR NOT NULL,
  head_number UBIGINT,
  head_hash VARCHAR,
  head_timestamp TIMESTAMP,
  settled UBIGINT NOT NULL
);

-- Blocks that hold events; all that stands below is a function of them.
CREATE TABLE blocks (
  number UBIGINT PRIMARY KEY,
  hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  events UINTEGER NOT NULL
);

CREATE TABLE questions (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  question VARCHAR PRIMARY KEY,
  oracle VARCHAR NOT NULL,
  outcomes UTINYINT NOT NULL,
  -- Unix seconds: a deadline may lie beyond what a timestamp can hold.
  deadline UBIGINT NOT NULL,
  spec_hash VARCHAR NOT NULL,
  terms_hash VARCHAR NOT NULL,
  -- As recorded on chain; v_questions also knows what a deadline has decided.
  status VARCHAR NOT NULL DEFAULT 'open',
  survivors UTINYINT[],
  winner UTINYINT,
  expired BOOLEAN
);

CREATE TABLE spec_publications (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  question VARCHAR NOT NULL,
  uri VARCHAR NOT NULL
);

-- The first published spec that matches its question's hash, where the URI holds the spec itself.
CREATE TABLE specs (
  question VARCHAR PRIMARY KEY,
  block_number UBIGINT NOT NULL,
  title VARCHAR NOT NULL,
  json JSON NOT NULL
);

CREATE TABLE outcomes (
  question VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  outcome UTINYINT NOT NULL,
  label VARCHAR NOT NULL,
  strategy VARCHAR,
  trit TINYINT,
  -- 18 decimals.
  prior HUGEINT NOT NULL,
  PRIMARY KEY (question, outcome)
);

CREATE TABLE narrowings (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  question VARCHAR NOT NULL,
  survivors UTINYINT[] NOT NULL
);

CREATE TABLE answers (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  question VARCHAR NOT NULL,
  outcome UTINYINT NOT NULL,
  expired BOOLEAN NOT NULL
);

CREATE TABLE verses (
  event_id VARCHAR,
  block_number UBIGINT,
  block_hash VARCHAR,
  block_timestamp TIMESTAMP,
  tx_hash VARCHAR,
  log_index UINTEGER,
  verse VARCHAR PRIMARY KEY,
  parent VARCHAR,
  question VARCHAR,
  outcome UTINYINT,
  depth UINTEGER NOT NULL,
  path JSON NOT NULL
);
INSERT INTO verses (verse, depth, path)
VALUES ('0x0000000000000000000000000000000000000000000000000000000000000000', 0, '[]');

-- The path of a verse as rows, 1-based.
CREATE TABLE verse_answers (
  block_number UBIGINT NOT NULL,
  verse VARCHAR NOT NULL,
  step UINTEGER NOT NULL,
  question VARCHAR NOT NULL,
  outcome UTINYINT NOT NULL
);

CREATE TABLE positions (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  position VARCHAR PRIMARY KEY,
  verse VARCHAR NOT NULL,
  token VARCHAR NOT NULL
);

-- Sums may pass 2^127, single amounts may not: BIGNUM here, HUGEINT in events.
CREATE TABLE balances (
  owner VARCHAR NOT NULL,
  position VARCHAR NOT NULL,
  amount BIGNUM NOT NULL,
  PRIMARY KEY (owner, position)
);

CREATE TABLE supplies (position VARCHAR PRIMARY KEY, amount BIGNUM NOT NULL);

-- Into the ledger and out of it, by token.
CREATE TABLE deposits (
  token VARCHAR PRIMARY KEY,
  deposited BIGNUM NOT NULL,
  withdrawn BIGNUM NOT NULL
);

-- Read from the token itself; null where it does not say.
CREATE TABLE tokens (token VARCHAR PRIMARY KEY, name VARCHAR, symbol VARCHAR, decimals UTINYINT);

CREATE TABLE push_downs (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  parent VARCHAR NOT NULL,
  question VARCHAR NOT NULL,
  owner VARCHAR NOT NULL,
  token VARCHAR NOT NULL,
  receiver VARCHAR NOT NULL,
  amount HUGEINT NOT NULL,
  survivors UTINYINT[] NOT NULL,
  path JSON NOT NULL
);

CREATE TABLE pull_ups (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  parent VARCHAR NOT NULL,
  question VARCHAR NOT NULL,
  owner VARCHAR NOT NULL,
  token VARCHAR NOT NULL,
  receiver VARCHAR NOT NULL,
  amount HUGEINT NOT NULL,
  survivors UTINYINT[] NOT NULL,
  path JSON NOT NULL
);

-- Mints come from the zero address, burns go to it.
CREATE TABLE transfers (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  operator VARCHAR NOT NULL,
  sender VARCHAR NOT NULL,
  receiver VARCHAR NOT NULL,
  position VARCHAR NOT NULL,
  amount HUGEINT NOT NULL
);

CREATE TABLE approvals (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  owner VARCHAR NOT NULL,
  spender VARCHAR NOT NULL,
  position VARCHAR NOT NULL,
  amount BIGNUM NOT NULL
);

CREATE TABLE operator_changes (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  owner VARCHAR NOT NULL,
  operator VARCHAR NOT NULL,
  allowed BOOLEAN NOT NULL
);

CREATE TABLE redeemer_changes (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  owner VARCHAR NOT NULL,
  redeemer VARCHAR NOT NULL,
  allowed BOOLEAN NOT NULL
);

CREATE TABLE position_descriptions (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  position VARCHAR NOT NULL,
  verse VARCHAR NOT NULL,
  token VARCHAR NOT NULL
);

CREATE TABLE partition_reports (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  keeper VARCHAR NOT NULL,
  parent VARCHAR NOT NULL,
  question VARCHAR NOT NULL,
  path JSON NOT NULL
);

-- Costs and probabilities have 18 decimals.
CREATE TABLE report_worlds (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  keeper VARCHAR NOT NULL,
  parent VARCHAR NOT NULL,
  question VARCHAR NOT NULL,
  outcome UTINYINT NOT NULL,
  verse VARCHAR NOT NULL,
  state_root VARCHAR NOT NULL,
  cost UHUGEINT NOT NULL,
  probability UBIGINT NOT NULL,
  trit TINYINT NOT NULL,
  verdict UTINYINT NOT NULL
);

CREATE TABLE probability_updates (
  event_id VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_hash VARCHAR NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  tx_hash VARCHAR NOT NULL,
  log_index UINTEGER NOT NULL,
  keeper VARCHAR NOT NULL,
  parent VARCHAR NOT NULL,
  question VARCHAR NOT NULL,
  outcome UTINYINT NOT NULL,
  probability UBIGINT NOT NULL
);

-- What an answer was worth, by token, from the balances just before it. `total` is K, what the holders own in every
-- combination; `wev_realized` is null where the combinations are too many to walk.
CREATE TABLE wev_exact (
  question VARCHAR NOT NULL,
  token VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  winner UTINYINT NOT NULL,
  wev_nominal BIGNUM NOT NULL,
  wev_realized BIGNUM,
  total BIGNUM,
  PRIMARY KEY (question, token)
);

-- wev_nominal again, of the losing verses under one parent only.
CREATE TABLE wev_partitions (
  parent VARCHAR NOT NULL,
  question VARCHAR NOT NULL,
  token VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  wev_nominal BIGNUM NOT NULL,
  PRIMARY KEY (parent, question, token)
);

-- How far each keeper's journal is read.
CREATE TABLE keepers (
  keeper_id VARCHAR PRIMARY KEY,
  epoch UBIGINT NOT NULL,
  seq UBIGINT NOT NULL
);

CREATE TABLE journal (
  keeper_id VARCHAR NOT NULL,
  epoch UBIGINT NOT NULL,
  seq UBIGINT NOT NULL,
  written_at TIMESTAMP NOT NULL,
  kind VARCHAR NOT NULL,
  event JSON NOT NULL,
  PRIMARY KEY (keeper_id, epoch, seq)
);

-- A verse's world: which entity runs it, and what its program ended with. Cost has 18 decimals.
CREATE TABLE worlds (
  entity_id VARCHAR PRIMARY KEY,
  keeper_id VARCHAR NOT NULL,
  provider_id VARCHAR,
  verse VARCHAR,
  name VARCHAR,
  state_root VARCHAR,
  cost HUGEINT,
  execute_time_ms FLOAT
);

-- Which partition a row of verse_resolutions is about.
CREATE TABLE resolutions (
  resolution_id VARCHAR PRIMARY KEY,
  keeper_id VARCHAR NOT NULL,
  parent VARCHAR NOT NULL,
  question VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL
);
