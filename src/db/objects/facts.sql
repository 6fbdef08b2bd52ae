-- What the definitions depend on, whether or not the tables are there yet, by the names that stand for it.
WITH place AS (
    SELECT t.name, quote_ident(coalesce(c.relnamespace::regnamespace::name, current_schema())) AS home, c.oid
      FROM (VALUES ('domain_events'), ('notification_processing'), ('notifications')) AS t (name)
      LEFT JOIN pg_class c ON c.oid = to_regclass(t.name)
)
SELECT fact.name AS "name!", fact.value AS "value!"
  FROM (VALUES
        ('{home}', (SELECT home FROM place WHERE name = 'domain_events')),
        -- As the jobs see it, not as the migration does.
        ('{path}', coalesce(nullif(current_setting('notify_fan_out.path', true), ''),
            (SELECT string_agg(quote_ident(name), ', ' ORDER BY no)
               FROM unnest(current_schemas(false)) WITH ORDINALITY AS s (name, no))) || ', pg_temp'),
        ('{events}', (SELECT home || '.' || name FROM place WHERE name = 'domain_events')),
        ('{processing}', (SELECT home || '.' || name FROM place WHERE name = 'notification_processing')),
        ('{notifications}', (SELECT home || '.' || name FROM place WHERE name = 'notifications')),
        -- Elsewhere it may be of another type: whoever writes events is never to fail here.
        ('{thread_id}', CASE WHEN EXISTS (SELECT FROM pg_attribute
                                           WHERE attrelid = to_regclass('domain_events') AND attname = 'thread_id'
                                             AND atttypid <> 'uuid'::regtype)
                             THEN 'NULL' ELSE 'thread_id' END)) AS fact (name, value)
