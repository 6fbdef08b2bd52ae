-- What the job's tables have grown to, and what autovacuum has done about it.
SELECT relname::text AS name, n_live_tup AS live, n_dead_tup AS dead,
       pg_total_relation_size(relid) AS bytes, autovacuum_count AS vacuums
  FROM pg_stat_user_tables
 WHERE schemaname = 'public' AND relname = ANY (ARRAY['notification_processing', 'notifications', 'pending_emails'])
 ORDER BY array_position(ARRAY['notification_processing', 'notifications', 'pending_emails'], relname::text)
