-- A committed event has a pending row beside it, in the same transaction. The writer pays for one
-- statement per statement, and needs no right on the service's tables.

DO $$
DECLARE
    home text := (SELECT quote_ident(n.nspname)
                    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE c.oid = to_regclass('notification_processing'));
BEGIN
    EXECUTE format($function$
        CREATE OR REPLACE FUNCTION %1$s.enqueue_domain_events() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
        BEGIN
            -- All that a row needs: an older table may lack the defaults.
            INSERT INTO %1$s.notification_processing
                (event_id, occurred_at, processing_status, retry_count, created_at, next_attempt_at)
            SELECT id, occurred_at, 'pending', 0, now(), now() FROM inserted
            ON CONFLICT (event_id) DO NOTHING;
            RETURN NULL;
        END
        $body$
    $function$, home);
    EXECUTE format('REVOKE ALL ON FUNCTION %s.enqueue_domain_events() FROM PUBLIC', home);

    IF NOT EXISTS (
        SELECT FROM pg_trigger
         WHERE tgrelid = to_regclass('domain_events') AND tgname = 'notify_fan_out_enqueue')
    THEN
        EXECUTE format($trigger$
            CREATE TRIGGER notify_fan_out_enqueue AFTER INSERT ON domain_events
            REFERENCING NEW TABLE AS inserted
            FOR EACH STATEMENT EXECUTE FUNCTION %s.enqueue_domain_events()
        $trigger$, home);
    END IF;
END
$$;
