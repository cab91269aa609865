-- What verses are called: their answers' labels in the order of the path. A label changes only when a spec is found, and putting
-- them together anew for every question costs more than the rest of it.
CREATE TABLE verse_labels (
  verse VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  label VARCHAR NOT NULL
);

INSERT INTO verse_labels
SELECT a.verse, any_value(a.block_number),
       string_agg(coalesce(o.label, left(a.question, 10) || '=' || a.outcome), ' & ' ORDER BY a.step)
FROM verse_answers a
LEFT JOIN outcomes o USING (question, outcome)
GROUP BY a.verse
ORDER BY any_value(a.block_number), a.verse;
