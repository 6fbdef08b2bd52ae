-- A merged notification that was read is closed for good. With its key it could not be marked as
-- unread again once a newer one of the same key is unread: there is one of these at most.

DO $$
DECLARE
    home text := (SELECT quote_ident(n.nspname)
                    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE c.oid = to_regclass('notifications'));
BEGIN
    EXECUTE format($function$
        CREATE OR REPLACE FUNCTION %s.close_read_notification() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
        BEGIN
            NEW.coalesce_key := NULL;
            RETURN NEW;
        END
        $body$
    $function$, home);

    IF NOT EXISTS (
        SELECT FROM pg_trigger
         WHERE tgrelid = to_regclass('notifications') AND tgname = 'notify_fan_out_close_read')
    THEN
        EXECUTE format($trigger$
            CREATE TRIGGER notify_fan_out_close_read BEFORE UPDATE OF read_at ON notifications
            FOR EACH ROW
            WHEN (OLD.read_at IS NULL AND NEW.read_at IS NOT NULL AND NEW.coalesce_key IS NOT NULL)
            EXECUTE FUNCTION %s.close_read_notification()
        $trigger$, home);
    END IF;
END
$$;
