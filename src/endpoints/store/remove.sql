-- Removes an endpoint ($1), and cancels what waits for it: whether it was there, twice, and how many
-- were cancelled.
WITH removed AS (
    DELETE FROM notification_endpoints WHERE name = $1::text RETURNING id, channel
), cancelled AS (
    UPDATE notification_deliveries AS d
       SET status = 'cancelled', code = 'endpoint_removed', reason = 'the endpoint was removed', finished_at = now()
      FROM removed AS e
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
), forgotten AS (
    DELETE FROM notification_delivery_targets AS t USING removed AS e WHERE t.target = 'endpoint:' || e.id
)
SELECT EXISTS (SELECT FROM removed) AS changed,
       EXISTS (SELECT FROM removed) AS is_known,
       (SELECT count(*) FROM cancelled) AS cancelled_count
