-- What is there now and was not before, and what is there no more.
WITH before AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(current_setting('notify_fan_out.before')::jsonb)
        AS b (step int, what text, make text)
), present AS MATERIALIZED (
    SELECT * FROM ({catalogue}) AS c
), added AS (
    SELECT p.* FROM present p WHERE NOT EXISTS (SELECT FROM before b WHERE b.what = p.what)
)
INSERT INTO notify_fan_out_made (step, what, undo)
SELECT a.step, a.what, a.take_out
  FROM added a
 WHERE a.step >= 7
    -- The rest of a new table goes with it.
    OR NOT EXISTS (SELECT FROM added t WHERE t.step = 7 AND t.relation = a.relation)
UNION ALL
SELECT b.step, 'lost: ' || b.what, b.make
  FROM before b
 WHERE b.make IS NOT NULL AND NOT EXISTS (SELECT FROM present p WHERE p.what = b.what)
ON CONFLICT (what) DO NOTHING
