-- What keeps the test world out of this database. $1: the relations, $2: the columns that the seed
-- fills, written relation.column.
SELECT needed.name || CASE
           WHEN c.oid IS NULL THEN ' does not exist'
           WHEN c.relkind = 'v' THEN ' is a view'
           WHEN c.relkind = 'm' THEN ' is a materialized view'
           WHEN c.relkind = 'f' THEN ' is a foreign table'
           ELSE ' is no table' END AS "obstacle!"
  FROM unnest($1::text[]) AS needed (name)
  LEFT JOIN pg_class c ON c.oid = to_regclass(needed.name)
 WHERE c.oid IS NULL OR c.relkind NOT IN ('r', 'p')
UNION ALL
SELECT needed.name || '.' || a.attname || ' must be filled, and the seed knows nothing of it'
  FROM unnest($1::text[]) AS needed (name)
  JOIN pg_attribute a ON a.attrelid = to_regclass(needed.name)
 WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull AND NOT a.atthasdef
   AND a.attidentity = '' AND a.attgenerated = ''
   AND needed.name || '.' || a.attname <> ALL ($2::text[])
UNION ALL
SELECT filled.name || ' does not exist'
  FROM unnest($2::text[]) AS filled (name)
  JOIN pg_class c ON c.oid = to_regclass(split_part(filled.name, '.', 1))
 WHERE NOT EXISTS (SELECT FROM pg_attribute a
                    WHERE a.attrelid = c.oid AND a.attname = split_part(filled.name, '.', 2)
                      AND a.attnum > 0 AND NOT a.attisdropped)
UNION ALL
-- Identifiers that must be somebody's elsewhere, such as those of auth.users.
SELECT needed.name || '.' || a.attname || ' refers to ' || con.confrelid::regclass || ', which the seed does not fill'
  FROM unnest($1::text[]) AS needed (name)
  JOIN pg_constraint con ON con.conrelid = to_regclass(needed.name) AND con.contype = 'f'
  JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = con.conkey[1]
 WHERE needed.name || '.' || a.attname = ANY ($2::text[])
   AND con.confrelid <> ALL (SELECT to_regclass(name) FROM unnest($1::text[]) AS known (name)
                              WHERE to_regclass(name) IS NOT NULL)
 ORDER BY 1
