-- What charts and commands ask in DuckDB's own words, in Postgres': each after a line with its name.

-- name: provider-status
SELECT jsonb_build_object(
  'id', p.provider_id, 'name', p.name, 'trit', p.trit, 'status', p.status, 'capabilities', p.capabilities, 'endpoint', p.api_endpoint,
  'auth', p.auth_method, 'calls', coalesce(c.calls, 0), 'failed', coalesce(c.failed, 0), 'p95', c.p95, 'lastCall', c.last::text,
  'links', coalesce(l.links, '{}'), 'reason', d.reason, 'declared', d.declared) AS document
FROM runtime_providers p JOIN provider_declared d USING (provider_id)
LEFT JOIN (
  SELECT provider_id, count(*) AS calls, max(invoked_at) AS last, percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) AS p95,
         count(*) FILTER (WHERE output_result -> 'error' IS NOT NULL) AS failed
  FROM provider_invocations GROUP BY provider_id) c USING (provider_id)
LEFT JOIN (
  SELECT target_provider AS provider_id, array_agg(source_component ORDER BY source_component) AS links
  FROM provider_links GROUP BY target_provider) l USING (provider_id)
WHERE p.provider_id = $1

-- name: providers-list, verdict
SELECT coalesce(sum(trit), 0)::int AS sum FROM providers_list

-- name: gf3-audit, verdict
SELECT count(*)::int AS bundles, (count(*) FILTER (WHERE open))::int AS open, (count(*) FILTER (WHERE violated))::int AS violated FROM gf3_audit

-- name: chart wev
WITH told AS (
  SELECT h.*, coalesce(q.title, left(h.question, 10)) AS name, coalesce(t.symbol, left(h.token, 10)) AS symbol, pow(10, coalesce(t.decimals, 0)) AS unit
  FROM wev_history h LEFT JOIN v_questions q USING (question) LEFT JOIN tokens t USING (token)
)
SELECT floor(extract(epoch FROM answered_at) * 1000)::float8 AS answered, form, name, value
FROM (
  SELECT DISTINCT answered_at, 'ratio' AS form, name, question, ratio AS value FROM told
  UNION ALL SELECT DISTINCT answered_at, 'absolute', name, question, absolute FROM told
  UNION ALL SELECT answered_at, 'nominal, ' || symbol, name, question, nominal::float8 / unit FROM told
  UNION ALL SELECT answered_at, 'realized, ' || symbol, name, question, realized::float8 / unit FROM told
) forms WHERE value IS NOT NULL AND ($1 = '' OR question = $1) ORDER BY answered, question, form

-- name: chart probability
SELECT to_char(h.block_timestamp, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS said,
       coalesce(v.label, left(h.verse, 18)) || ' of ' || left(h.question, 10) AS verse, h.probability::float8 / 1e18 AS probability
FROM (SELECT * FROM probability_history WHERE $1 = '' OR question = $1 ORDER BY block_number DESC, log_index DESC, outcome DESC LIMIT 2000) h
LEFT JOIN verse_labels v USING (verse) ORDER BY h.block_number, h.log_index, h.outcome

-- name: chart exposure
SELECT h.owner, h.token, coalesce(t.symbol, left(h.token, 10)) AS symbol
FROM (
  SELECT b.owner, p.token, sum(b.amount::float8) AS amount FROM balances b JOIN positions p USING (position)
  WHERE b.amount > 0 AND ($1 = '' OR b.owner = $1) AND p.verse IN (SELECT verse FROM v_states WHERE state <> 'collapsed')
  GROUP BY b.owner, p.token) h
LEFT JOIN tokens t USING (token)
ORDER BY h.amount / pow(10, coalesce(t.decimals, 0)) DESC, h.owner, h.token LIMIT 12

-- name: chart latency
SELECT provider_id, operation, p50_ms, p95_ms, p99_ms FROM provider_latency ORDER BY provider_id, operation

-- name: chart tree
WITH shown AS MATERIALIZED (
  SELECT verse, parent, question, outcome, depth FROM verses
  WHERE $1 = '' OR parent IS NULL OR verse IN (SELECT verse FROM verse_answers WHERE question = $1)
  ORDER BY depth, parent, outcome LIMIT 2000
)
SELECT v.verse, v.parent, coalesce(o.label, v.outcome::text, 'root') AS name, st.state,
       CASE WHEN v.parent IS NULL THEN 1 ELSE p.probability::float8 / 1e18 END AS probability,
       coalesce(s.supply, 'nothing') AS supply, coalesce(w.world, 'no world') AS world
FROM shown v JOIN v_states st USING (verse) LEFT JOIN v_probabilities p USING (verse)
LEFT JOIN outcomes o ON o.question = v.question AND o.outcome = v.outcome
LEFT JOIN (
  SELECT verse, string_agg(CASE WHEN display = round(display) THEN display::numeric::text ELSE as_double(display::numeric) END
                           || ' ' || coalesce(symbol, left(token, 10)), ', ' ORDER BY token) AS supply
  FROM v_supplies WHERE amount > 0 AND verse IN (SELECT verse FROM shown) GROUP BY verse) s USING (verse)
LEFT JOIN (
  SELECT DISTINCT ON (verse) verse, coalesce(provider_id, 'a world') || coalesce(', cost ' || as_double(cost / 1e18), '') AS world
  FROM worlds WHERE verse IN (SELECT verse FROM shown) ORDER BY verse, entity_id DESC) w USING (verse)
ORDER BY v.depth, v.parent, v.outcome
