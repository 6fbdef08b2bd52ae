-- Disables endpoints ($1: their targets, $2: the reasons) and cancels their pending deliveries through the
-- channels $3.
WITH disabled AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[]) AS d (target, reason)
),
endpoint AS (
    UPDATE notification_endpoints e
       SET enabled = false, disabled_reason = g.reason, disabled_at = now(), updated_at = now()
      FROM disabled g
     WHERE g.target LIKE 'endpoint:%' AND e.id = substr(g.target, 10)::uuid AND e.enabled
),
route AS (
    INSERT INTO notification_delivery_targets AS t (target, disabled_reason, disabled_at)
    SELECT target, reason, now() FROM disabled WHERE target LIKE 'env:%' ORDER BY target
    ON CONFLICT (target) DO UPDATE
       SET disabled_reason = excluded.disabled_reason, disabled_at = excluded.disabled_at
     WHERE t.disabled_at IS NULL
),
cancelled AS (
    UPDATE notification_deliveries d
       SET status = 'cancelled', code = 'endpoint_disabled', finished_at = now(),
           reason = 'the endpoint was disabled: ' || g.reason
      FROM disabled g
     WHERE d.target = ANY ($1) AND d.target = g.target AND d.status = 'pending'
       AND d.channel = ANY ($3)
    RETURNING d.key, d.target, d.channel, d.event_type
),
-- A cancelled delivery suppresses nothing.
released AS (
    UPDATE notification_delivery_guards g
       SET until = now()
      FROM cancelled c
     WHERE g.delivery_key = c.key AND g.until > now()
)
SELECT g.target AS "target!", coalesce(e.name, g.target) AS "name!", g.reason AS "reason!",
       c.channel AS "channel?: Channel", c.event_type AS "event_type?", count(c.target) AS "cancelled!"
  FROM disabled g
  LEFT JOIN cancelled c ON c.target = g.target
  LEFT JOIN LATERAL (
       SELECT name FROM notification_endpoints x
        WHERE g.target LIKE 'endpoint:%' AND x.id = substr(g.target, 10)::uuid OFFSET 0) AS e ON true
 GROUP BY g.target, e.name, g.reason, c.channel, c.event_type
 ORDER BY g.target
