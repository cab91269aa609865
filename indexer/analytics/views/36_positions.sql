-- Every position that came about, by a name for people. It is alive while its verse can still come true, and redeemable once every
-- answer of its verse was given: then it goes up to ROOT level by level (`multiverse pull-up`, or a redeemer).
CREATE OR REPLACE VIEW v_positions AS
SELECT p.position, p.verse, p.token, coalesce(t.symbol, left(p.token, 10)) || ' if ' || s.label AS name, s.label, v.depth,
       s.state <> 'collapsed' AS is_alive, s.state = 'happened' AS redeemable, coalesce(held.amount, 0::BIGNUM) AS supply
FROM positions p
JOIN verses v USING (verse)
JOIN v_states s USING (verse)
LEFT JOIN tokens t USING (token)
LEFT JOIN supplies held USING (position);

-- Who can redeem what now, and who may do it for them.
CREATE OR REPLACE VIEW redeemable AS
SELECT b.owner, p.position, p.name, p.verse, p.token, b.amount,
       (SELECT list(r.redeemer ORDER BY r.redeemer) FROM redeemers r WHERE r.owner = b.owner) AS redeemers
FROM balances b
JOIN v_positions p USING (position)
WHERE p.redeemable AND b.amount > 0::BIGNUM
ORDER BY b.owner, p.name;
