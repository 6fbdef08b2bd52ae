-- Disables a route of the environment ($1) for a reason ($2), and cancels what waits for it: whether it
-- was enabled, true, and how many were cancelled.
WITH disabled AS (
    INSERT INTO notification_delivery_targets AS t (target, disabled_reason, disabled_at)
    VALUES ($1::text, $2::text, now())
    ON CONFLICT (target) DO UPDATE
       SET disabled_reason = excluded.disabled_reason, disabled_at = excluded.disabled_at
     WHERE t.disabled_at IS NULL
    RETURNING target
), cancelled AS (
    UPDATE notification_deliveries AS d
       SET status = 'cancelled', code = 'endpoint_disabled', reason = 'the endpoint was disabled: ' || $2::text,
           finished_at = now()
      FROM disabled
     WHERE d.status = 'pending' AND d.recipient = disabled.target
       -- The channel's own name, where one target stands for all its recipients.
       AND d.target = ANY (ARRAY[disabled.target, split_part(disabled.target, ':', 2)])
    RETURNING d.key
), released AS (
    -- A cancelled delivery suppresses no other.
    UPDATE notification_delivery_guards AS g
       SET until = now()
      FROM cancelled AS c
     WHERE g.delivery_key = c.key AND g.until > now()
)
SELECT EXISTS (SELECT FROM disabled) AS changed,
       true AS is_known,
       (SELECT count(*) FROM cancelled) AS cancelled_count
