-- The name that older jobs gave it; made only where the application has no function of that name.
CREATE OR REPLACE FUNCTION {home}.get_pending_notification_events(p_limit integer DEFAULT 100)
 RETURNS TABLE(event_id bigint, event_type text, occurred_at timestamp with time zone, next_attempt_at timestamp with time zone, retry_count integer, error_message text, payload jsonb)
 LANGUAGE sql
 STABLE
 SET search_path TO pg_catalog, pg_temp
AS $function$
SELECT * FROM {home}.notify_fan_out_pending(p_limit)
$function$
