-- Follows routed.sql, behind the fence: queues what endpoints and phones are told, and takes its guards.
-- What is held off is queued as well, cancelled, so that it can be asked why.
, turn AS MATERIALIZED (
    SELECT *, row_number() OVER (PARTITION BY channel, recipient ORDER BY announcement_no) AS place
      FROM hearer
     WHERE outcome = 'queued' AND guards <> '{}'
),
-- Of several in one batch, one after the other for each recipient: what is held off takes no guard,
-- and so holds nothing off itself.
taken (channel, recipient, place, announcement_no, why, guards) AS (
    SELECT channel, recipient, place, announcement_no, NULL::text, guards FROM turn WHERE place = 1
    UNION ALL
    SELECT turn.channel, turn.recipient, turn.place, turn.announcement_no, met.why,
           CASE WHEN met.why IS NULL THEN taken.guards || turn.guards ELSE taken.guards END
      FROM taken
      JOIN turn ON turn.channel = taken.channel AND turn.recipient = taken.recipient
               AND turn.place = taken.place + 1
     CROSS JOIN LATERAL (
           SELECT max(CASE WHEN guard LIKE '%|day:%' THEN 'told_that_day' ELSE 'told_the_same' END)
             FROM unnest(turn.guards) AS guard
            WHERE guard = ANY (taken.guards)) AS met (why)
),
verdict AS MATERIALIZED (
    SELECT h.*, coalesce(taken.why, nullif(h.outcome, 'queued')) AS why
      FROM hearer h
      LEFT JOIN taken USING (channel, recipient, announcement_no)
     WHERE h.outcome IN ('queued', 'told_that_day', 'told_the_same')
),
queued AS (
    INSERT INTO notification_deliveries
        (channel, target, recipient, user_id, endpoint_id, event_id, event_type, message, occurred_at,
         status, code, reason, finished_at)
    SELECT v.channel, v.target, v.recipient, v.user_id, v.endpoint_id, v.event_id, a.event_type,
           a.message, a.occurred_at,
           CASE WHEN v.why IS NULL THEN 'pending' ELSE 'cancelled' END,
           CASE WHEN v.why IS NOT NULL THEN 'duplicate' END,
           CASE v.why WHEN 'told_that_day' THEN 'duplicate: told of this alert that day'
                      WHEN 'told_the_same' THEN 'duplicate: told the same within 24 hours' END,
           CASE WHEN v.why IS NOT NULL THEN now() END
      FROM verdict v
      JOIN announcement a USING (announcement_no)
     ORDER BY v.event_id, v.channel, v.recipient
        ON CONFLICT (event_id, channel, recipient) WHERE event_id IS NOT NULL DO NOTHING
    RETURNING id, key AS delivery_key, event_id, channel, recipient, status
),
guard AS MATERIALIZED (
    SELECT key, q.delivery_key, past.guard IS NOT NULL AS is_past,
           now() + CASE WHEN key LIKE '%|day:%' THEN interval '30 days' ELSE interval '24 hours' END AS until
      FROM queued q
      JOIN verdict v USING (event_id, channel, recipient)
     CROSS JOIN LATERAL unnest(v.guards) AS key
      LEFT JOIN LATERAL (
           SELECT x.guard FROM notification_delivery_guards x WHERE x.guard = key OFFSET 0) AS past ON true
     WHERE q.status = 'pending'
),
renewed AS (
    INSERT INTO notification_delivery_guards AS g (guard, delivery_key, until)
    SELECT key, delivery_key, until
      FROM guard
     WHERE is_past
     ORDER BY key
        ON CONFLICT (guard) DO UPDATE SET delivery_key = excluded.delivery_key, until = excluded.until
     WHERE g.until <= now()
    RETURNING g.guard
),
added AS (
    -- One that another worker has taken meanwhile is refused: the batch is written again, and
    -- finds it held.
    INSERT INTO notification_delivery_guards (guard, delivery_key, until)
    SELECT key, delivery_key, until
      FROM guard
     WHERE key NOT IN (SELECT guard FROM renewed)
     ORDER BY key
)
SELECT count(*) FILTER (WHERE status = 'pending') AS deliveries,
       count(*) FILTER (WHERE status = 'cancelled') AS duplicates
  FROM queued
