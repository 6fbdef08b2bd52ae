-- Creates the deliveries of immediate e-mails. $1 at most this many, oldest first; $2 seconds after which
-- an e-mail expires; $3 e-mails to skip.
WITH waiting AS MATERIALIZED (
    SELECT id, user_id, event_id, event_type, body_data, gen_random_uuid() AS key,
           -- An older table may hold times beyond all bounds, or none.
           greatest(least(coalesce(created_at, now()), now()), '1970-01-01') AS created_at,
           created_at < now() - make_interval(secs => $2) AS is_late
      FROM pending_emails
     WHERE status = 'pending' AND delivery_type = 'immediate' AND id <> ALL ($3)
     ORDER BY pending_emails.created_at
     LIMIT $1
       FOR UPDATE SKIP LOCKED
),
dedup AS MATERIALIZED (
    SELECT w.id, w.key, name.dedup_key, g.value LIKE 'content:%' AS is_content,
           row_number() OVER (PARTITION BY name.dedup_key ORDER BY w.id) AS place,
           coalesce((SELECT until FROM notification_delivery_guards WHERE guard = name.dedup_key)
                    > now(), false) AS is_held
      FROM waiting w
     CROSS JOIN LATERAL (
           SELECT DISTINCT value FROM jsonb_array_elements_text(
                  CASE WHEN jsonb_typeof(w.body_data -> 'guards') = 'array'
                       THEN w.body_data -> 'guards' ELSE '[]' END) AS g (value)) AS g
     -- An index takes keys up to a length only.
     CROSS JOIN LATERAL (SELECT 'email|user:' || w.user_id || '|' ||
           CASE WHEN octet_length(g.value) <= 500 THEN g.value
                ELSE 'sha256:' || encode(sha256(convert_to(g.value, 'UTF8')), 'hex') END) AS name (dedup_key)
     WHERE w.is_late IS NOT TRUE
),
judged AS MATERIALIZED (
    SELECT w.*, CASE WHEN w.is_late THEN 'expired' WHEN g.is_held THEN 'duplicate' END AS code
      FROM waiting w
      LEFT JOIN (SELECT id, bool_or(is_held) AS is_held, max(place) AS place
                   FROM dedup GROUP BY id) AS g ON g.id = w.id
     -- An e-mail behind another with the same dedup key waits until that one is decided: a suppressed
     -- e-mail takes no dedup key, and so suppresses nothing.
     WHERE coalesce(g.place, 1) = 1 OR g.is_held
),
taken AS (
    INSERT INTO notification_delivery_guards (guard, delivery_key, until)
    SELECT g.dedup_key, g.key, now() + CASE WHEN g.is_content THEN interval '24 hours' ELSE interval '30 days' END
      FROM dedup g
      JOIN judged j ON j.id = g.id
     WHERE j.code IS NULL
     ORDER BY g.dedup_key
    ON CONFLICT (guard) DO UPDATE SET delivery_key = excluded.delivery_key, until = excluded.until
),
-- A delivery of an earlier event with the same id: it is older than the event.
detached AS (
    UPDATE notification_deliveries SET event_id = NULL
     WHERE id = ANY (ARRAY(
               SELECT another.id
                 FROM judged j
                CROSS JOIN LATERAL (
                      SELECT e.occurred_at, p.created_at
                        FROM domain_events e
                        JOIN notification_processing p ON p.event_id = e.id
                       WHERE e.id = j.event_id OFFSET 0) AS event
                CROSS JOIN LATERAL (
                      SELECT d.id, d.created_at FROM notification_deliveries d
                       WHERE d.event_id = j.event_id AND d.channel = 'email'
                         AND d.recipient = 'user:' || j.user_id OFFSET 0) AS another
                WHERE another.created_at < least(event.occurred_at, event.created_at)))
    RETURNING id
),
queued AS (
    INSERT INTO notification_deliveries
        (key, channel, target, recipient, user_id, event_id, event_type, occurred_at, status,
         reason, code, finished_at)
    SELECT key, 'email', 'email', 'user:' || user_id, user_id, event_id, event_type, created_at,
           CASE code WHEN 'expired' THEN 'dead' WHEN 'duplicate' THEN 'cancelled' ELSE 'pending' END,
           CASE code WHEN 'expired' THEN 'expired: it waited for longer than NOTIFY_DELIVERY_MAX_AGE'
                     WHEN 'duplicate' THEN 'duplicate: the recipient has already received the same message' END,
           code, CASE WHEN code IS NOT NULL THEN now() END
      FROM judged
     WHERE user_id IS NOT NULL AND event_type IS NOT NULL
       -- Evaluates `detached` first: both have the same unique key.
       AND (SELECT count(*) FROM detached) >= 0
     ORDER BY id
    ON CONFLICT (event_id, channel, recipient) WHERE event_id IS NOT NULL DO NOTHING
    RETURNING id, key, status, reason
),
moved AS (
    UPDATE pending_emails m
       SET status = CASE WHEN q.status = 'pending' THEN 'processing' ELSE 'failed' END,
           delivery_id = q.id,
           processed_at = CASE WHEN q.status = 'pending' THEN NULL ELSE now() END,
           status_reason = CASE WHEN j.user_id IS NULL OR j.event_type IS NULL
                                THEN 'dead: the row has no user_id, or no event_type'
                                WHEN q.id IS NULL THEN 'cancelled: the recipient has already received an e-mail about this event'
                                WHEN q.status = 'pending' THEN NULL
                                ELSE q.status || ': ' || q.reason END
      FROM judged j
      LEFT JOIN queued q USING (key)
     -- A condition of its own, so that no plan scans all e-mails.
     WHERE m.id = ANY (ARRAY(SELECT id FROM waiting)) AND m.id = j.id
    RETURNING m.event_type, CASE WHEN m.user_id IS NULL OR m.event_type IS NULL THEN 'dead' ELSE q.status END AS status
)
SELECT coalesce(event_type, '') AS "event_type!", coalesce(status, 'cancelled') AS "status!: DeliveryStatus",
       count(*) AS "mails!", count(*) AS "deliveries!"
  FROM moved
 GROUP BY coalesce(event_type, ''), coalesce(status, 'cancelled')
