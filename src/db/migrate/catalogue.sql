-- The tables that the migrations make or alter, with all that they add to them, and how each is made
-- or taken out.
WITH place AS MATERIALIZED (
    SELECT c.oid, c.relkind, c.relowner, c.relacl, c.relrowsecurity,
           format('%I.%I', n.nspname, c.relname) AS name
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = ANY (current_schemas(false)) AND c.relkind IN ('r', 'p', 'S')
       AND (c.relname IN ('profiles', 'orgs', 'org_members', 'projects', 'project_access_grants', 'resources',
                'permissions', 'chat_threads', 'chat_thread_participants', 'meetings', 'meeting_participants',
                'user_notification_preferences', 'domain_events', 'notifications', 'pending_emails')
            OR c.relname LIKE 'notification\_%' OR c.relname LIKE 'notify\_fan\_out\_%')
       -- Those of serial and identity columns go with these.
       AND NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
                          AND c.relkind = 'S' AND d.refclassid = 'pg_class'::regclass)
), relation AS (
    SELECT * FROM place WHERE relkind <> 'S'
)
SELECT 1 AS step, format('policy %I on %s', p.polname, r.name) AS what, r.name AS relation,
       format('DROP POLICY IF EXISTS %I ON %s', p.polname, r.name) AS take_out, NULL AS make
  FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
UNION ALL
SELECT 2, 'row level security of ' || name, name, format('ALTER TABLE IF EXISTS %s DISABLE ROW LEVEL SECURITY', name), NULL
  FROM relation WHERE relrowsecurity
UNION ALL
SELECT 3, format('%s on %s for %s', a.privilege_type, name, who.grantee), name,
       format('REVOKE %s ON %s FROM %s', a.privilege_type, name, who.grantee),
       format('GRANT %s ON %s TO %s', a.privilege_type, name, who.grantee)
  FROM relation
 CROSS JOIN LATERAL aclexplode(coalesce(relacl, acldefault('r', relowner))) AS a
 CROSS JOIN LATERAL (SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END) AS who (grantee)
UNION ALL
SELECT 3, format('%s (%I) on %s for %s', a.privilege_type, c.attname, name, who.grantee), name,
       format('REVOKE %s (%I) ON %s FROM %s', a.privilege_type, c.attname, name, who.grantee),
       format('GRANT %s (%I) ON %s TO %s', a.privilege_type, c.attname, name, who.grantee)
  FROM relation
  JOIN pg_attribute c ON c.attrelid = oid
 CROSS JOIN LATERAL aclexplode(c.attacl) AS a
 CROSS JOIN LATERAL (SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END) AS who (grantee)
UNION ALL
SELECT 5, format('default of %s.%I', name, c.attname), name,
       format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', name, c.attname), NULL
  FROM relation JOIN pg_attribute c ON c.attrelid = oid
 WHERE c.atthasdef AND c.attgenerated = '' AND NOT c.attisdropped
UNION ALL
SELECT 6, format('column %s.%I', name, c.attname), name,
       format('ALTER TABLE IF EXISTS %s DROP COLUMN IF EXISTS %I', name, c.attname), NULL
  FROM relation JOIN pg_attribute c ON c.attrelid = oid
 WHERE c.attnum > 0 AND NOT c.attisdropped
UNION ALL
SELECT 7, 'table ' || name, name, 'DROP TABLE IF EXISTS ' || name, NULL FROM relation
UNION ALL
SELECT 8, 'sequence ' || name, name, 'DROP SEQUENCE IF EXISTS ' || name, NULL FROM place WHERE relkind = 'S'
