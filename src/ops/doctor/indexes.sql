-- Of the indexes named ($1) those that are not there or not valid; and whether the database itself
-- keeps a person from getting an event's row twice.
SELECT needed.name || CASE WHEN i.indexrelid IS NULL THEN ' is missing' ELSE ' is invalid' END AS "lacking!"
  FROM unnest($1::text[]) AS needed (name)
  LEFT JOIN pg_index i ON i.indexrelid = to_regclass(needed.name)
 WHERE i.indisvalid IS NOT TRUE
UNION ALL
SELECT 'a unique index on ' || t.name || ' (event_id, user_id) is missing'
  FROM (VALUES ('notifications'), ('pending_emails')) AS t (name)
 WHERE to_regclass(t.name) IS NOT NULL
   AND NOT EXISTS (
       SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE i.indrelid = to_regclass(t.name) AND i.indisunique AND i.indisvalid
          AND (c.relname = t.name || '_event_user_key'
               OR i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = 2
                  AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text)
                         FROM pg_attribute a
                        WHERE a.attrelid = i.indrelid
                          AND a.attnum = ANY (i.indkey::smallint[])) = '{event_id,user_id}'))
 ORDER BY 1
