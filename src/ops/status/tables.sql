-- The service's tables as the statistics collector knows them: estimates, at no cost.
SELECT t.name AS "table!", greatest(c.reltuples, 0)::bigint AS "rows!", c.reltuples < 0 AS "is_unknown!",
       coalesce(s.n_dead_tup, 0) AS "dead!", coalesce(s.n_live_tup, 0) AS "live!",
       s.last_autovacuum, s.last_vacuum,
       extract(epoch FROM now() - s.last_autovacuum)::float8 AS last_autovacuum_seconds,
       extract(epoch FROM now() - s.last_vacuum)::float8 AS last_vacuum_seconds
  FROM unnest(ARRAY['domain_events', 'notification_processing', 'notifications', 'pending_emails',
                    'notification_deliveries'])
       WITH ORDINALITY AS t (name, place)
  JOIN pg_class c ON c.oid = to_regclass(t.name)
  LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
 ORDER BY t.place
