-- What keeps vacuum from removing dead rows of this database: what reaches back furthest first.
-- Sessions that the role may not look into show no horizon; they are counted apart.
SELECT holder.kind AS "kind!: HolderKind", holder.name AS "name!", holder.pid, holder.state, holder.age_seconds,
       holder.xids::bigint AS "age_transactions_count!"
  FROM (SELECT 'session', coalesce(nullif(application_name, ''), backend_type, ''), pid, state,
               greatest(extract(epoch FROM now() - xact_start), 0)::float8,
               greatest(age(backend_xid), age(backend_xmin))
          FROM pg_stat_activity
         WHERE pid <> pg_backend_pid() AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)
           AND (datname = current_database() OR datname IS NULL)
           -- A worker of vacuum holds nothing back, and one of a parallel query no more than its leader.
           AND backend_type <> 'autovacuum worker' AND leader_pid IS NULL
        UNION ALL
        SELECT 'prepared_transaction', gid, NULL, NULL,
               greatest(extract(epoch FROM now() - prepared), 0)::float8, age(transaction)
          FROM pg_prepared_xacts
         WHERE database = current_database()
        UNION ALL
        SELECT 'replication_slot', slot_name::text, active_pid,
               CASE WHEN active THEN 'active' ELSE 'inactive' END, NULL,
               greatest(age(xmin), age(catalog_xmin))
          FROM pg_replication_slots
         WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL
       ) AS holder (kind, name, pid, state, age_seconds, xids)
 ORDER BY holder.xids DESC, holder.age_seconds DESC NULLS LAST
 LIMIT $1
