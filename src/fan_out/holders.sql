-- Who holds the lock that transaction $1 waits for, without their statements, which may hold secrets.
-- State and time are visible to members of pg_read_all_stats only, or of the holder's role.
SELECT string_agg(holder, '; ') AS holders FROM (
    SELECT DISTINCT CASE WHEN blocking.pid = 0 THEN 'a prepared transaction' ELSE
               concat_ws(', ', 'pid ' || blocking.pid, nullif(held.application_name, ''),
                   'user ' || held.usename, held.state,
                   'since ' || to_char(held.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC')
           END AS holder
      FROM pg_stat_activity waiting
     CROSS JOIN unnest(pg_blocking_pids(waiting.pid)) AS blocking (pid)
      LEFT JOIN pg_stat_activity held ON held.pid = blocking.pid
     WHERE waiting.backend_xid = $1::text::xid8::xid
     ORDER BY holder LIMIT 3) AS holders
