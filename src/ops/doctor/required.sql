-- Columns that refuse rows which the job writes: $1 the table, $2 the columns that it writes, with commas;
-- $3 those of them that may be NULL.
SELECT a.attrelid::regclass::text AS "relation!", a.attname::text AS "name!",
       NOT a.attname = ANY (string_to_array(w.written, ',')) AS "is_unknown!"
  FROM unnest($1::text[], $2::text[], $3::text[]) AS w (relation, written, nullable)
  JOIN pg_attribute a ON a.attrelid = to_regclass(w.relation)
 WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull
   AND (a.attname = ANY (string_to_array(w.nullable, ','))
        OR NOT a.attname = ANY (string_to_array(w.written, ','))
           AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = '')
 ORDER BY a.attrelid::regclass::text, a.attnum
