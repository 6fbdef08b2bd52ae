-- The messages of a thread merge into the same notifications. Claimed together they are written
-- once per reader, and two workers are not in each other's way.

ALTER TABLE notification_processing ADD COLUMN IF NOT EXISTS thread_id uuid;
COMMENT ON COLUMN notification_processing.thread_id IS 'Copy of domain_events.thread_id: what waits in one thread is claimed together.';

DO $$
DECLARE
    home text := (SELECT quote_ident(n.nspname)
                    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE c.oid = to_regclass('notification_processing'));
    -- Elsewhere it may be of another type: whoever writes events is never to fail here.
    thread text := CASE WHEN EXISTS (
            SELECT FROM pg_attribute
             WHERE attrelid = to_regclass('domain_events') AND attname = 'thread_id' AND atttypid = 'uuid'::regtype)
        THEN 'thread_id' ELSE 'NULL' END;
BEGIN
    EXECUTE format($function$
        CREATE OR REPLACE FUNCTION %1$s.enqueue_domain_events() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
        BEGIN
            -- All that a row needs: an older table may lack the defaults.
            INSERT INTO %1$s.notification_processing
                (event_id, occurred_at, thread_id, processing_status, retry_count, created_at, next_attempt_at)
            SELECT id, occurred_at, %2$s, 'pending', 0, now(), now() FROM inserted
            ON CONFLICT (event_id) DO NOTHING;
            RETURN NULL;
        END
        $body$
    $function$, home, thread);
END
$$;
