-- Follows routed.sql, behind the fence: queues deliveries, and takes their dedup keys. Suppressed ones
-- are written as well, cancelled, so that the reason can be looked up.
, wanted AS MATERIALIZED (
    SELECT h.announcement_no, h.channel, h.recipient, key, count(*) OVER (PARTITION BY key) AS times
      FROM routed h
     CROSS JOIN LATERAL unnest(h.dedup_keys) AS key
     WHERE h.outcome = 'queued'
),
-- Deliveries of one batch that share a dedup key, in the order of their events.
contender AS MATERIALIZED (
    SELECT channel, recipient, announcement_no, dedup_keys,
           row_number() OVER (PARTITION BY channel, recipient ORDER BY announcement_no) AS place
      FROM routed
     WHERE (announcement_no, channel, recipient) IN (
               SELECT announcement_no, channel, recipient FROM wanted WHERE times > 1)
),
-- From one winner to the next, for each recipient: a suppressed delivery takes no key, and so
-- suppresses nothing itself.
winner (channel, recipient, place, dedup_keys, taken) AS (
    SELECT channel, recipient, place, dedup_keys, dedup_keys FROM contender WHERE place = 1
    UNION ALL
    SELECT winner.channel, winner.recipient, next.place, next.dedup_keys, winner.taken || next.dedup_keys
      FROM winner
     CROSS JOIN LATERAL (
           SELECT contender.place, contender.dedup_keys FROM contender
            WHERE contender.channel = winner.channel AND contender.recipient = winner.recipient
              AND contender.place > winner.place AND NOT contender.dedup_keys && winner.taken
            ORDER BY contender.place LIMIT 1) AS next
),
suppressed AS MATERIALIZED (
    SELECT contender.announcement_no, contender.channel, contender.recipient,
           max(CASE WHEN key LIKE '%|day:%' THEN 'duplicate_alert' ELSE 'duplicate' END) AS why
      FROM contender
      JOIN winner ON winner.channel = contender.channel AND winner.recipient = contender.recipient
               AND winner.place < contender.place
     CROSS JOIN LATERAL unnest(contender.dedup_keys) AS key
     WHERE key = ANY (winner.dedup_keys)
     GROUP BY contender.announcement_no, contender.channel, contender.recipient
),
decided AS MATERIALIZED (
    SELECT h.*, coalesce(suppressed.why, nullif(h.outcome, 'queued')) AS why
      FROM routed h
      LEFT JOIN suppressed USING (channel, recipient, announcement_no)
     WHERE h.outcome IN ('queued', 'duplicate_alert', 'duplicate')
),
detached AS (
    UPDATE notification_deliveries SET event_id = NULL
     WHERE id = ANY (ARRAY(SELECT anothers_id FROM decided WHERE anothers_id IS NOT NULL))
    RETURNING id
),
queued AS (
    INSERT INTO notification_deliveries
        (channel, target, recipient, user_id, endpoint_id, event_id, event_type, message, occurred_at,
         status, code, reason, finished_at)
    SELECT v.channel, v.target, v.recipient, v.user_id, v.endpoint_id, v.event_id, a.event_type,
           a.message, a.occurred_at,
           CASE WHEN v.why IS NULL THEN 'pending' ELSE 'cancelled' END,
           CASE WHEN v.why IS NOT NULL THEN 'duplicate' END,
           CASE v.why WHEN 'duplicate_alert' THEN 'duplicate: this alert was queued that day already'
                      WHEN 'duplicate' THEN 'duplicate: same content within 24 hours' END,
           CASE WHEN v.why IS NOT NULL THEN now() END
      FROM decided v
      JOIN announcement a USING (announcement_no)
     -- Asked first, and so done first: they share the key.
     WHERE (SELECT count(*) FROM detached) >= 0
     ORDER BY v.event_id, v.channel, v.recipient
        ON CONFLICT (event_id, channel, recipient) WHERE event_id IS NOT NULL DO NOTHING
    RETURNING id, key AS delivery_key, event_id, channel, recipient, status
),
taken AS MATERIALIZED (
    SELECT key, q.delivery_key, past.guard IS NOT NULL AS is_past,
           now() + CASE WHEN key LIKE '%|day:%' THEN interval '30 days' ELSE interval '24 hours' END AS until
      FROM queued q
      JOIN decided v USING (event_id, channel, recipient)
     CROSS JOIN LATERAL unnest(v.dedup_keys) AS key
      LEFT JOIN LATERAL (
           SELECT x.guard FROM notification_delivery_guards x WHERE x.guard = key OFFSET 0) AS past ON true
     WHERE q.status = 'pending'
),
renewed AS (
    INSERT INTO notification_delivery_guards AS g (guard, delivery_key, until)
    SELECT key, delivery_key, until
      FROM taken
     WHERE is_past
     ORDER BY key
        ON CONFLICT (guard) DO UPDATE SET delivery_key = excluded.delivery_key, until = excluded.until
     WHERE g.until <= now()
    RETURNING g.guard
),
added AS (
    -- One that another worker took meanwhile is refused: the batch is written again, and is
    -- suppressed.
    INSERT INTO notification_delivery_guards (guard, delivery_key, until)
    SELECT key, delivery_key, until
      FROM taken
     WHERE key NOT IN (SELECT guard FROM renewed)
     ORDER BY key
)
SELECT count(*) FILTER (WHERE status = 'pending') AS deliveries,
       count(*) FILTER (WHERE status = 'cancelled') AS suppressed
  FROM queued
