-- All of one delivery, $1.
SELECT d.id, d.key, d.channel, d.target, d.recipient, d.event_id, d.event_type, d.digest_window, d.message,
       d.occurred_at, d.status, d.attempts AS attempts_count, d.next_attempt_at, d.lease_until, d.leased_by,
       d.transport, d.provider_id, d.reason, d.code, d.created_at, d.finished_at,
       coalesce(e.name || coalesce(' (' || e.target || ')', ''), d.recipient) AS "to!",
       CASE WHEN e.name IS NULL THEN p.email::text END AS address, e.enabled AS "endpoint_is_enabled?"
  FROM notification_deliveries d
  LEFT JOIN notification_endpoints e ON e.id = d.endpoint_id
  LEFT JOIN profiles p ON p.id = d.user_id
 WHERE d.id = $1
