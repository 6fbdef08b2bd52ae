-- Indexes on the queue that are not the service's ($1) and enforce nothing: an older job's.
SELECT i.indexrelid::regclass::text AS "name!", coalesce(s.idx_scan, 0) AS "scans!"
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  LEFT JOIN pg_stat_user_indexes s ON s.indexrelid = i.indexrelid
 WHERE i.indrelid = to_regclass('notification_processing') AND NOT i.indisunique AND NOT i.indisexclusion
   AND c.relname <> ALL ($1::text[])
 ORDER BY 1
