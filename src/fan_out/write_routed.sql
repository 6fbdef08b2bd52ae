-- Follows routed.sql, behind the fence: queues what endpoints and phones are told, and takes its guards.
-- What is held off is queued as well, cancelled, so that it can be asked why.
, asked AS MATERIALIZED (
    SELECT h.announcement_no, h.channel, h.recipient, key, count(*) OVER (PARTITION BY key) AS times
      FROM hearer h
     CROSS JOIN LATERAL unnest(h.guards) AS key
     WHERE h.outcome = 'queued'
),
-- Those of one batch that are in each other's way, in the order of their events.
turn AS MATERIALIZED (
    SELECT channel, recipient, announcement_no, guards,
           row_number() OVER (PARTITION BY channel, recipient ORDER BY announcement_no) AS place
      FROM hearer
     WHERE (announcement_no, channel, recipient) IN (
               SELECT announcement_no, channel, recipient FROM asked WHERE times > 1)
),
-- From one that is told to the next, for each recipient: what is held off takes no guard, and so
-- holds nothing off itself.
told (channel, recipient, place, guards, taken) AS (
    SELECT channel, recipient, place, guards, guards FROM turn WHERE place = 1
    UNION ALL
    SELECT told.channel, told.recipient, next.place, next.guards, told.taken || next.guards
      FROM told
     CROSS JOIN LATERAL (
           SELECT turn.place, turn.guards FROM turn
            WHERE turn.channel = told.channel AND turn.recipient = told.recipient
              AND turn.place > told.place AND NOT turn.guards && told.taken
            ORDER BY turn.place LIMIT 1) AS next
),
held_off AS MATERIALIZED (
    SELECT turn.announcement_no, turn.channel, turn.recipient,
           max(CASE WHEN key LIKE '%|day:%' THEN 'told_that_day' ELSE 'told_the_same' END) AS why
      FROM turn
      JOIN told ON told.channel = turn.channel AND told.recipient = turn.recipient
               AND told.place < turn.place
     CROSS JOIN LATERAL unnest(turn.guards) AS key
     WHERE key = ANY (told.guards)
     GROUP BY turn.announcement_no, turn.channel, turn.recipient
),
verdict AS MATERIALIZED (
    SELECT h.*, coalesce(held_off.why, nullif(h.outcome, 'queued')) AS why
      FROM hearer h
      LEFT JOIN held_off USING (channel, recipient, announcement_no)
     WHERE h.outcome IN ('queued', 'told_that_day', 'told_the_same')
),
let_go AS (
    UPDATE notification_deliveries SET event_id = NULL
     WHERE id = ANY (ARRAY(SELECT anothers_id FROM verdict WHERE anothers_id IS NOT NULL))
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
           CASE v.why WHEN 'told_that_day' THEN 'duplicate: told of this alert that day'
                      WHEN 'told_the_same' THEN 'duplicate: told the same within 24 hours' END,
           CASE WHEN v.why IS NOT NULL THEN now() END
      FROM verdict v
      JOIN announcement a USING (announcement_no)
     -- Asked first, and so done first: they share the key.
     WHERE (SELECT count(*) FROM let_go) >= 0
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
