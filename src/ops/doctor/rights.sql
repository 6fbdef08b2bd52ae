-- The rights that the role lacks: on columns of relations ($1 relation, $2 right, $3 column, $4
-- whether only those who write need it, entry by entry), on sequences and functions. What does not
-- exist is reported elsewhere.
WITH needed AS (
    SELECT r.relation, r.privilege, r.is_write, a.attname::text AS name,
           has_column_privilege(a.attrelid, a.attnum, r.privilege) AS has_it
      FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[]) AS r (relation, privilege, name, is_write)
      JOIN pg_attribute a ON a.attrelid = to_regclass(r.relation) AND a.attname = r.name
                         AND a.attnum > 0 AND NOT a.attisdropped
),
-- The fences', and those behind bigserial; those of identity columns ask for no right.
sequence AS MATERIALIZED (
    SELECT c.oid
      FROM pg_class c
     WHERE c.oid IN (to_regclass('notification_claim_token_seq'), to_regclass('notification_lease_token_seq'))
       AND c.relkind = 'S'
    UNION
    SELECT c.oid
      FROM pg_attrdef def
      JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = def.oid
                      AND d.refclassid = 'pg_class'::regclass
      JOIN pg_class c ON c.oid = d.refobjid AND c.relkind = 'S'
     WHERE def.adrelid IN (to_regclass('notifications'), to_regclass('pending_emails'))
)
SELECT n.relation || ' (' || string_agg(n.name, ', ' ORDER BY n.name) FILTER (WHERE NOT n.has_it) || ')' AS "object!",
       n.privilege AS "privilege!", n.is_write AS "is_write!",
       n.is_write AND bool_or(n.has_it) AS "has_part!"
  FROM needed n
 GROUP BY n.relation, n.privilege, n.is_write
HAVING NOT bool_and(n.has_it)
UNION ALL
SELECT 'sequence ' || s.oid::regclass, 'USAGE', true, false
  FROM sequence s
 WHERE NOT has_sequence_privilege(s.oid, 'USAGE')
UNION ALL
-- What a daemon says that it sleeps by.
SELECT 'sequence notification_wake_seq', privilege, true, false
  FROM unnest('{SELECT,UPDATE}'::text[]) AS w (privilege)
 WHERE NOT has_sequence_privilege(to_regclass('notification_wake_seq'), privilege)
UNION ALL
SELECT 'function can_view(uuid, uuid)', 'EXECUTE', false, false
 WHERE NOT has_function_privilege(to_regprocedure('can_view(uuid, uuid)'), 'EXECUTE')
UNION ALL
SELECT 'function can_view_many(uuid[], uuid[])', 'EXECUTE', false, false
 WHERE NOT has_function_privilege(to_regprocedure('can_view_many(uuid[], uuid[])'), 'EXECUTE')
 ORDER BY 1, 2
