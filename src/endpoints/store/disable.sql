-- Disables an endpoint ($1) for a reason ($2), and cancels what waits for it: whether it was enabled,
-- whether it is there, and how many were cancelled.
WITH disabled AS (
    UPDATE notification_endpoints
       SET enabled = false, disabled_reason = $2::text, disabled_at = now(), updated_at = now()
     WHERE name = $1::text AND enabled
    RETURNING id, channel
), cancelled AS (
    UPDATE notification_deliveries AS d
       SET status = 'cancelled', code = 'endpoint_disabled', reason = 'the endpoint was disabled: ' || $2::text,
           finished_at = now()
      FROM disabled AS e
     WHERE d.status = 'pending' AND d.endpoint_id = e.id
       -- The channel's own name, where one target stands for all its recipients.
       AND d.target = ANY (ARRAY[e.channel, 'endpoint:' || e.id])
    RETURNING d.key
), released AS (
    -- A cancelled delivery suppresses no other.
    UPDATE notification_delivery_guards AS g
       SET until = now()
      FROM cancelled AS c
     WHERE g.delivery_key = c.key AND g.until > now()
)
SELECT EXISTS (SELECT FROM disabled) AS changed,
       EXISTS (SELECT FROM notification_endpoints WHERE name = $1::text) AS is_known,
       (SELECT count(*) FROM cancelled) AS cancelled_count
