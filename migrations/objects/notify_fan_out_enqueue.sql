-- A committed event has a pending row beside it, in the same transaction. The writer pays for one
-- statement per statement, and needs no privilege on the service's tables.
CREATE OR REPLACE FUNCTION {home}.notify_fan_out_enqueue()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO pg_catalog, pg_temp
AS $function$
BEGIN
    -- All that a row needs: an older table may lack the defaults.
    INSERT INTO {processing}
        (event_id, occurred_at, thread_id, processing_status, retry_count, created_at, next_attempt_at)
    SELECT id, occurred_at, {thread_id}, 'pending', 0, now(), now() FROM inserted
    ON CONFLICT (event_id) DO NOTHING;
    RETURN NULL;
END
$function$
