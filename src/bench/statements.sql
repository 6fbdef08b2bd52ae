-- What the server spent on each statement, dearest first.
SELECT query, toplevel, calls, rows, total_exec_time AS exec_ms, total_plan_time AS plan_ms,
       max_exec_time + max_plan_time AS slowest_ms,
       wal_bytes::float8 AS wal_bytes, shared_blks_hit AS hits, shared_blks_read AS reads,
       temp_blks_written AS spilled
  FROM pg_stat_statements s
  JOIN pg_database d ON d.oid = s.dbid
 WHERE d.datname = $1
 ORDER BY total_exec_time + total_plan_time DESC
