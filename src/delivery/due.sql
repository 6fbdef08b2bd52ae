-- Due deliveries, those of paused targets included. $1 at most this many.
SELECT d.id, d.key, d.channel, d.target, d.recipient, d.user_id, d.endpoint_id, d.event_type,
       coalesce((SELECT name FROM notification_endpoints e WHERE e.id = d.endpoint_id), d.target) AS "name!",
       d.message::text AS "message!", d.occurred_at, d.attempts,
       coalesce(d.requeued_at, d.created_at) AS "queued_at!", now() AS "now!",
       (SELECT extract(epoch FROM t.paused_until - now())::float8
          FROM notification_delivery_targets t
         WHERE t.target = d.target AND t.paused_until > now()) AS "paused?"
  FROM notification_deliveries d
 WHERE d.status = 'pending' AND d.next_attempt_at <= now()
 ORDER BY d.target, d.next_attempt_at, d.id
 LIMIT $1
