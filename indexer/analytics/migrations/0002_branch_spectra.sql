-- What the eigenvalues of each tree of worlds say: one walks from a world to its parent, its children and its siblings.
-- `root` is the world that no other was branched into. Null where there is no such figure (spectrum.ts says when).
CREATE TABLE branch_spectra (
  root VARCHAR PRIMARY KEY,
  worlds UINTEGER NOT NULL,
  hops UINTEGER NOT NULL,
  lambda_1 DOUBLE,
  lambda_2 DOUBLE,
  lambda_min DOUBLE,
  spectral_gap DOUBLE,
  is_ramanujan BOOLEAN,
  mixing_steps DOUBLE,
  price_of_anarchy DOUBLE
);
