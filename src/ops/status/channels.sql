-- Deliveries by channel: what waits, is being sent or is for a person to decide, each from a partial
-- index that holds nothing else. Pauses of a few seconds only pace a chat. Of what was finished in the
-- last day the latest $1. $2 the channels.
WITH pending AS (
    SELECT d.channel,
           count(*) FILTER (WHERE d.next_attempt_at <= now() AND t.target IS NULL) AS due,
           max(extract(epoch FROM now() - d.next_attempt_at))
               FILTER (WHERE d.next_attempt_at <= now() AND t.target IS NULL) AS due_seconds,
           count(*) FILTER (WHERE d.next_attempt_at <= now() AND t.target IS NOT NULL) AS paused,
           count(*) FILTER (WHERE d.next_attempt_at > now()) AS scheduled,
           min(extract(epoch FROM d.next_attempt_at - now()))
               FILTER (WHERE d.next_attempt_at > now()) AS next_seconds,
           count(*) FILTER (WHERE d.attempts > 0) AS retrying
      FROM notification_deliveries d
      LEFT JOIN notification_delivery_targets t ON t.target = d.target AND t.paused_until > now() + interval '5 seconds'
     WHERE d.status = 'pending'
     GROUP BY d.channel
),
leased AS (
    SELECT channel, count(*) AS sending, count(*) FILTER (WHERE lease_until < now()) AS expired
      FROM notification_deliveries
     WHERE status = 'sending'
     GROUP BY channel
),
held AS (
    SELECT channel, count(*) FILTER (WHERE status = 'dead') AS dead,
           count(*) FILTER (WHERE status = 'uncertain') AS uncertain
      FROM notification_deliveries
     WHERE status IN ('dead', 'uncertain')
     GROUP BY channel
),
finished AS (
    SELECT channel, count(*) FILTER (WHERE status = 'delivered') AS delivered,
           count(*) FILTER (WHERE status = 'cancelled') AS cancelled
      FROM (SELECT channel, status
              FROM notification_deliveries
             WHERE status IN ('delivered', 'cancelled') AND finished_at > now() - interval '1 day'
             ORDER BY finished_at DESC
             LIMIT $1) AS latest
     GROUP BY channel
)
SELECT c.name AS "channel!",
       coalesce(p.due, 0) AS "due_count!", p.due_seconds::float8 AS oldest_due_age_seconds,
       coalesce(p.paused, 0) AS "paused_count!", coalesce(p.scheduled, 0) AS "scheduled_count!",
       p.next_seconds::float8 AS next_due_in_seconds, coalesce(p.retrying, 0) AS "retrying_count!",
       coalesce(l.sending, 0) AS "sending_count!", coalesce(l.expired, 0) AS "expired_leases_count!",
       coalesce(h.dead, 0) AS "dead_count!", coalesce(h.uncertain, 0) AS "uncertain_count!",
       coalesce(f.delivered, 0) AS "delivered_last_day_count!", coalesce(f.cancelled, 0) AS "cancelled_last_day_count!"
  FROM unnest($2::text[]) WITH ORDINALITY AS c (name, place)
  LEFT JOIN pending p ON p.channel = c.name
  LEFT JOIN leased l ON l.channel = c.name
  LEFT JOIN held h ON h.channel = c.name
  LEFT JOIN finished f ON f.channel = c.name
 ORDER BY c.place
