-- The service's tables as the statistics collector knows them: estimates, at no cost.
SELECT t.name AS "name!", CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END AS estimated_rows_count,
       coalesce(s.n_dead_tup, 0) AS "dead_rows_count!", s.last_autovacuum AS last_autovacuum_at,
       extract(epoch FROM now() - s.last_autovacuum)::float8 AS last_autovacuum_age_seconds,
       s.last_vacuum AS last_vacuum_at, extract(epoch FROM now() - s.last_vacuum)::float8 AS last_vacuum_age_seconds
  FROM unnest(ARRAY['domain_events', 'notification_processing', 'notifications', 'pending_emails',
                    'notification_deliveries'])
       WITH ORDINALITY AS t (name, place)
  JOIN pg_class c ON c.oid = to_regclass(t.name)
  LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
 ORDER BY t.place
