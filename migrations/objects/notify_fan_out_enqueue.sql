-- A committed event has a pending row beside it, in the same transaction. The writer pays for one
-- statement per statement, and needs no privilege on the service's tables. A daemon that sleeps is
-- woken by a NOTIFY, once: one in each transaction would make the application's commits wait for each other.
CREATE OR REPLACE FUNCTION {home}.notify_fan_out_enqueue()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO pg_catalog, pg_temp
AS $function$
DECLARE
    asleep bigint;
BEGIN
    -- All that a row needs: an older table may lack the defaults.
    INSERT INTO {processing} AS p
        (event_id, occurred_at, thread_id, processing_status, retry_count, created_at, next_attempt_at)
    SELECT id, occurred_at, {thread_id}, 'pending', 0, now(), now() FROM inserted
    -- A row that is there already is of an earlier event, if it is older than this one.
    ON CONFLICT (event_id) DO UPDATE
       SET occurred_at = excluded.occurred_at, thread_id = excluded.thread_id, processing_status = 'pending',
           retry_count = 0, created_at = now(), next_attempt_at = now(), processor_id = NULL,
           claimed_at = NULL, completed_at = NULL, error_message = NULL, claim_token = NULL,
           retried_at = NULL, unhandled_type = NULL
     WHERE p.created_at < now() AND coalesce(p.occurred_at, p.created_at) < excluded.occurred_at;
    SELECT last_value INTO asleep FROM {home}.notification_wake_seq;
    -- A queue of notifications that nobody reads would fail the writer's commit once it is full.
    IF asleep % 1024 = 0 AND nextval('{home}.notification_wake_seq') = asleep + 1
       AND pg_notification_queue_usage() < 0.5 THEN
        PERFORM pg_notify('notify_fan_out', '');
    END IF;
    RETURN NULL;
END
$function$
