-- What the role would have to own, or be allowed, to migrate, and who does.
SELECT format('%s belongs to %s', c.oid::regclass, c.relowner::regrole) AS "owner!"
  FROM pg_class c
 WHERE c.oid IN (to_regclass('domain_events'), to_regclass('notification_processing'),
                 to_regclass('notifications'), to_regclass('pending_emails'),
                 to_regclass('notify_fan_out_migrations'))
   AND NOT pg_has_role(c.relowner, 'USAGE')
UNION ALL
SELECT format('schema %s belongs to %s, and %s may not create in it', n.nspname, n.nspowner::regrole, current_user)
  FROM pg_namespace n
 WHERE n.nspname = coalesce((SELECT relnamespace::regnamespace::name FROM pg_class WHERE oid = to_regclass('domain_events')),
                            current_schema())
   AND NOT has_schema_privilege(n.oid, 'CREATE')
 ORDER BY 1
