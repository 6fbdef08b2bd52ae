-- For psql: what the next run would claim, oldest first. It takes no lock and changes nothing.

-- An older job's function of the same name may return other columns.
DROP FUNCTION IF EXISTS get_pending_notification_events(integer);
CREATE FUNCTION get_pending_notification_events(p_limit integer DEFAULT 100)
RETURNS TABLE (
    event_id bigint,
    event_type text,
    occurred_at timestamptz,
    next_attempt_at timestamptz,
    retry_count integer,
    error_message text,
    payload jsonb
)
LANGUAGE sql STABLE AS $body$
    SELECT p.event_id, e.event_type::text, coalesce(p.occurred_at, e.occurred_at),
           p.next_attempt_at, p.retry_count, p.error_message, e.payload
      FROM notification_processing p
      JOIN domain_events e ON e.id = p.event_id
     WHERE p.processing_status = 'pending' AND p.next_attempt_at <= now()
     ORDER BY p.next_attempt_at, p.event_id
     LIMIT p_limit
$body$;
