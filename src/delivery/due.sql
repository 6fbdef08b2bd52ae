-- Due deliveries through the channels $2 as they are when leased, those of paused targets included. $1 at most
-- this many.
SELECT d.id, d.key, 0::bigint AS "token!", d.channel AS "channel: Channel", d.target, d.recipient, d.user_id,
       d.endpoint_id, d.event_type, d.message::text AS "message!", d.occurred_at, d.attempts + 1 AS "attempts!",
       coalesce(d.requeued_at, d.created_at) AS "queued_at!", NULL::timestamptz AS tried_since,
       0 AS "failures!", now() AS "now!", 0::bigint AS "xid!"
  FROM notification_deliveries d
 WHERE d.status = 'pending' AND d.next_attempt_at <= now() AND d.channel = ANY ($2)
 ORDER BY d.target, d.next_attempt_at, d.id
 LIMIT $1
