-- The state of the deliveries named ($1) that stay as they are: those that are not dead letters, and
-- those that other filters exclude. Read before anything is changed.
SELECT named.id,
       CASE WHEN d.id IS NULL THEN 'no_such_delivery' WHEN d.status IN ('dead', 'uncertain') THEN 'filtered_out'
            ELSE d.status END AS state
  FROM (SELECT DISTINCT unnest($1)) AS named (id)
  LEFT JOIN notification_deliveries d ON d.id = named.id
 WHERE NOT EXISTS (SELECT FROM matching WHERE matching.id = named.id)
 ORDER BY named.id
