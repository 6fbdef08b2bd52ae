-- What was chosen, by event type; the last of the page is in each row, and there is one even if nothing was.
SELECT counted.name, counted.ids, 0::bigint AS uncertain, 0::bigint AS to_disabled, 0::bigint AS emails,
       (SELECT max(id)::bigint FROM page) AS reached
  FROM (SELECT 1) AS always
  LEFT JOIN (SELECT name, array_agg(id::bigint ORDER BY id) AS ids FROM chosen JOIN page USING (id) GROUP BY name)
       AS counted ON true
