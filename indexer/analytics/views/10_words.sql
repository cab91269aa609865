-- Words of 64 bits, unsigned and wrapping, and what the seeds walk with: SplitMix64, and the three ways in which a seed goes
-- on from a trit, which disagree and are never mixed.

CREATE OR REPLACE MACRO add64(a, b) AS
  ((a::UHUGEINT + b::UHUGEINT) & 18446744073709551615::UHUGEINT)::UBIGINT;
CREATE OR REPLACE MACRO mul64(a, b) AS
  ((a::UHUGEINT * b::UHUGEINT) & 18446744073709551615::UHUGEINT)::UBIGINT;
-- 0x and 16 digits.
CREATE OR REPLACE MACRO hex64(word) AS '0x' || lpad(lower(to_hex(word::UBIGINT)), 16, '0');
-- The first 16 hex digits of an id or a state root, as a word.
CREATE OR REPLACE MACRO word64(hex) AS ('0x' || substr(hex, 3, 16))::UBIGINT;

-- SplitMix64's finaliser (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
-- Written as one expression: what stands there twice is computed once, and it can be folded over a list.
CREATE OR REPLACE MACRO fold64(word, bits) AS xor(word::UBIGINT, word::UBIGINT >> bits);
CREATE OR REPLACE MACRO mix64(word) AS
  fold64(mul64(fold64(mul64(fold64(word, 30), 13787848793156543929::UBIGINT), 27), 10723151780598845931::UBIGINT), 31);
-- γ, the golden ratio's 64 bits: the first number of the stream that begins at a seed is that of seed + γ.
CREATE OR REPLACE MACRO gamma64() AS 11400714819323198485::UBIGINT;
CREATE OR REPLACE MACRO splitmix64(seed) AS mix64(add64(seed, gamma64()));
-- The k-th number, without a state: the same in any order.
CREATE OR REPLACE MACRO splitmix64_at(seed, k) AS mix64(add64(seed, mul64(k, gamma64())));

-- A trit times γ.
CREATE OR REPLACE MACRO trit64(trit) AS
  CASE trit WHEN 1 THEN gamma64() WHEN 0 THEN 0::UBIGINT WHEN -1 THEN 7046029254386353131::UBIGINT END;
-- One step of a chromatic walk.
CREATE OR REPLACE MACRO chromatic_step(seed, trit) AS
  mul64(xor(seed::UBIGINT, trit64(trit)), 13787848793156543929::UBIGINT);
-- The seed of the trace that follows another one (implicit coordination).
CREATE OR REPLACE MACRO trace_seed(seed, trit) AS add64(splitmix64(seed), trit64(trit));

-- The three agents that walk from a genesis seed.
CREATE OR REPLACE MACRO chromatic_agents(genesis) AS TABLE
SELECT * FROM (VALUES
  (1, 'generator', genesis::UBIGINT),
  (0, 'coordinator', xor(genesis::UBIGINT, gamma64())),
  (-1, 'validator', xor(genesis::UBIGINT, mul64(gamma64(), 2)))
) agents(trit, role, seed);
