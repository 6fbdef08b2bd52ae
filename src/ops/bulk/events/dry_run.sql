-- Selects what an action would change.
, page AS (SELECT id, name FROM matching),
chosen AS (SELECT id FROM page)
