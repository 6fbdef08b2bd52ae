-- What is not there of relations ($1) and their columns ($2), pair by pair, and of the rest.
SELECT needed.relation || coalesce(
           (SELECT ' is in schema ' || string_agg(n.nspname, ', ' ORDER BY n.nspname)
                   || ', which is not on the search path or not open to the role'
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relname = needed.relation AND c.relkind IN ('r', 'p', 'v', 'm', 'f')),
           ' does not exist') AS "missing!"
  FROM (SELECT DISTINCT relation FROM unnest($1::text[]) AS r (relation)) AS needed
 WHERE to_regclass(needed.relation) IS NULL
UNION ALL
SELECT DISTINCT needed.relation || ' has no column ' || needed.name
  FROM unnest($1::text[], $2::text[]) AS needed (relation, name)
 WHERE to_regclass(needed.relation) IS NOT NULL
   AND NOT EXISTS (SELECT FROM pg_attribute a
                    WHERE a.attrelid = to_regclass(needed.relation) AND a.attname = needed.name
                      AND a.attnum > 0 AND NOT a.attisdropped)
UNION ALL
SELECT 'the function can_view(uuid, uuid) does not exist, or not on the search path'
 WHERE to_regprocedure('can_view(uuid, uuid)') IS NULL
UNION ALL
SELECT 'the function can_view(uuid, uuid) does not return a boolean'
  FROM pg_proc
 WHERE oid = to_regprocedure('can_view(uuid, uuid)') AND (prorettype <> 'boolean'::regtype OR proretset)
UNION ALL
SELECT 'the function can_view_many(uuid[], uuid[]) does not exist, or not on the search path'
 WHERE to_regprocedure('can_view_many(uuid[], uuid[])') IS NULL
UNION ALL
SELECT 'the function can_view_many(uuid[], uuid[]) does not return rows of user_id uuid and resource_id uuid'
  FROM pg_proc p
 WHERE p.oid = to_regprocedure('can_view_many(uuid[], uuid[])')
   AND NOT (p.proretset AND 2 = (
           SELECT count(*)
             FROM (SELECT a.name, a.type
                     FROM unnest(p.proargnames, p.proallargtypes, p.proargmodes) AS a (name, type, mode)
                    WHERE a.mode IN ('t', 'o', 'b')
                   UNION ALL
                   SELECT a.attname, a.atttypid
                     FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid
                    WHERE t.oid = p.prorettype AND a.attnum > 0 AND NOT a.attisdropped) AS returned
            WHERE name IN ('user_id', 'resource_id') AND type = 'uuid'::regtype))
UNION ALL
SELECT 'the sequence ' || needed.name || ' does not exist'
  FROM (VALUES ('notification_claim_token_seq'), ('notification_lease_token_seq'), ('notification_wake_seq')) AS needed (name)
 WHERE to_regclass(needed.name) IS NULL
 ORDER BY 1
