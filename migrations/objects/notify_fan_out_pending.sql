-- For psql: what the next run would claim, oldest first. It takes no lock and changes nothing.
CREATE OR REPLACE FUNCTION {home}.notify_fan_out_pending(p_limit integer DEFAULT 100)
 RETURNS TABLE(event_id bigint, event_type text, occurred_at timestamp with time zone, next_attempt_at timestamp with time zone, retry_count integer, error_message text, payload jsonb)
 LANGUAGE sql
 STABLE
 SET search_path TO pg_catalog, pg_temp
AS $function$
SELECT p.event_id, e.event_type::text, coalesce(p.occurred_at, e.occurred_at),
       p.next_attempt_at, p.retry_count, p.error_message, e.payload
  FROM {processing} p
  JOIN {events} e ON e.id = p.event_id
 WHERE p.processing_status = 'pending' AND p.next_attempt_at <= now()
 ORDER BY p.next_attempt_at, p.event_id
 LIMIT p_limit
$function$
