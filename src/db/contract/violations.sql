-- Columns of tables that are there and are missing or of another type: $1 the table, $2 the column, $3 the
-- kind of types, $4 whether it has to be there.
SELECT r.oid::regclass::text AS "relation!", c.name AS "name!", c.kind AS "kind!",
       format_type(a.atttypid, a.atttypmod) AS found,
       (SELECT string_agg(quote_ident(name), ',' ORDER BY no)
          FROM unnest(current_schemas(false)) WITH ORDINALITY AS s (name, no)) AS "path!"
  FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[])
       WITH ORDINALITY AS c (relation, name, kind, is_needed, no)
  JOIN pg_class r ON r.oid = to_regclass(c.relation)
  LEFT JOIN pg_attribute a ON a.attrelid = r.oid AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_type t ON t.oid = a.atttypid
  -- A domain counts as what it is made of.
  LEFT JOIN pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
 WHERE CASE
           WHEN a.attname IS NULL THEN c.is_needed
           ELSE NOT CASE c.kind
               WHEN 'any' THEN true
               WHEN 'text' THEN b.typcategory = 'S'
               WHEN 'word' THEN b.typcategory IN ('S', 'E')
               WHEN 'integer' THEN b.typcategory = 'N'
               WHEN 'time' THEN b.typcategory = 'D'
               ELSE b.typname = c.kind
           END
       END
 ORDER BY c.no
