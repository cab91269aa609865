-- The seeds' triads, their bundle of five, and our own of local providers. A trit belongs to the membership: the same member
-- may stand for something else in another bundle, and not every member is a provider.
CREATE TABLE triads (triad_id VARCHAR PRIMARY KEY, name VARCHAR NOT NULL);
CREATE TABLE triad_members (
  triad_id VARCHAR NOT NULL REFERENCES triads (triad_id),
  place UTINYINT NOT NULL,
  member VARCHAR NOT NULL,
  trit TINYINT NOT NULL CHECK (trit IN (-1, 0, 1)),
  PRIMARY KEY (triad_id, place)
);

INSERT INTO triads VALUES
  ('core-runtime', 'Core Runtime'), ('inference', 'Inference Pipeline'), ('wev', 'WEV Pipeline'),
  ('full', 'Full Pipeline'), ('local', 'Local Pipeline'), ('core', 'Core'), ('branching', 'Branching'),
  ('cobordism', 'Cobordism'), ('tracing', 'Tracing'), ('state', 'State');

INSERT INTO triad_members VALUES
  ('core-runtime', 1, 'gensyn', -1), ('core-runtime', 2, 'primeintellect', 0), ('core-runtime', 3, 'morph', 1),
  ('inference', 1, 'ritual', -1), ('inference', 2, 'primeintellect', 0), ('inference', 3, 'modal', 1),
  ('wev', 1, 'gensyn', -1), ('wev', 2, 'world-extractable-value', 0), ('wev', 3, 'morph', 1),
  ('full', 1, 'ritual', -1), ('full', 2, 'gensyn', -1), ('full', 3, 'modal', 1), ('full', 4, 'morph', 1),
  ('full', 5, 'primeintellect', 0),
  ('local', 1, 'replay', -1), ('local', 2, 'grpo', 0), ('local', 3, 'quickjs', 1),
  ('core', 1, 'ramanujan-expander', -1), ('core', 2, 'world-extractable-value', 0), ('core', 3, 'world-runtime', 1),
  ('branching', 1, 'three-match', -1), ('branching', 2, 'world-hopping', 0), ('branching', 3, 'world-runtime', 1),
  ('cobordism', 1, 'polyglot-spi', -1), ('cobordism', 2, 'mdm-cobordism', 0), ('cobordism', 3, 'world-runtime', 1),
  ('tracing', 1, 'shadow-goblin', -1), ('tracing', 2, 'chromatic-walk', 0), ('tracing', 3, 'world-runtime', 1),
  ('state', 1, 'temporal-coalgebra', -1), ('state', 2, 'acsets', 0), ('state', 3, 'world-runtime', 1);
