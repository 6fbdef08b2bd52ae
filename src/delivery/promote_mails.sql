-- Gives mails that are to go out at once a delivery each. $1 at most this many, oldest first; $2
-- seconds after which one that was never tried is too old to be of use.
WITH waiting AS MATERIALIZED (
    SELECT id, user_id, event_id, event_type, created_at, body_data,
           gen_random_uuid() AS key,
           created_at < now() - make_interval(secs => $2) AS is_late
      FROM pending_emails
     WHERE status = 'pending' AND delivery_type = 'immediate'
     ORDER BY created_at
     LIMIT $1
       FOR UPDATE SKIP LOCKED
),
guard AS MATERIALIZED (
    SELECT DISTINCT ON (name.guard) name.guard, w.key, g.value LIKE 'content:%' AS is_content
      FROM waiting w
     CROSS JOIN LATERAL jsonb_array_elements_text(
               CASE WHEN jsonb_typeof(w.body_data -> 'guards') = 'array'
                    THEN w.body_data -> 'guards' ELSE '[]' END) AS g (value)
     CROSS JOIN LATERAL (SELECT 'email|user:' || w.user_id || '|' || g.value) AS name (guard)
     WHERE NOT w.is_late
     ORDER BY name.guard, w.id
),
-- A guard is taken or not in one step: two that come at once can't both have it.
taken AS (
    INSERT INTO notification_delivery_guards AS held (guard, delivery_key, until)
    SELECT guard, key, now() + CASE WHEN is_content THEN interval '24 hours' ELSE interval '30 days' END
      FROM guard
     ORDER BY guard
    ON CONFLICT (guard) DO UPDATE SET delivery_key = excluded.delivery_key, until = excluded.until
     WHERE held.until <= now()
    RETURNING guard, delivery_key
),
judged AS MATERIALIZED (
    SELECT w.*,
           CASE WHEN w.is_late THEN 'expired'
                WHEN EXISTS (
                    SELECT FROM jsonb_array_elements_text(
                           CASE WHEN jsonb_typeof(w.body_data -> 'guards') = 'array'
                                THEN w.body_data -> 'guards' ELSE '[]' END) AS g (value)
                     WHERE NOT EXISTS (
                           SELECT FROM taken t
                            WHERE t.delivery_key = w.key
                              AND t.guard = 'email|user:' || w.user_id || '|' || g.value))
                THEN 'duplicate' END AS code
      FROM waiting w
),
queued AS (
    INSERT INTO notification_deliveries
        (key, channel, target, recipient, user_id, event_id, event_type, occurred_at, status,
         reason, code, finished_at)
    SELECT key, 'email', 'email', 'user:' || user_id, user_id, event_id, event_type, created_at,
           CASE code WHEN 'expired' THEN 'dead' WHEN 'duplicate' THEN 'cancelled' ELSE 'pending' END,
           CASE code WHEN 'expired' THEN 'expired: it had waited for longer than the age limit'
                     WHEN 'duplicate' THEN 'duplicate: the person was told the same before' END,
           code, CASE WHEN code IS NOT NULL THEN now() END
      FROM judged
     ORDER BY id
    ON CONFLICT (event_id, channel, recipient) WHERE event_id IS NOT NULL DO NOTHING
    RETURNING id, key, status, reason
),
moved AS (
    UPDATE pending_emails m
       SET status = CASE WHEN q.status = 'pending' THEN 'processing' ELSE 'failed' END,
           delivery_id = q.id,
           processed_at = CASE WHEN q.status = 'pending' THEN NULL ELSE now() END,
           status_reason = CASE WHEN q.id IS NULL THEN 'cancelled: the event was mailed to the person before'
                                WHEN q.status = 'pending' THEN NULL
                                ELSE q.status || ': ' || q.reason END
      FROM judged j
      LEFT JOIN queued q USING (key)
     -- By itself, so that no plan looks for them among all that ever was.
     WHERE m.id = ANY (ARRAY(SELECT id FROM waiting)) AND m.id = j.id
    RETURNING q.status
)
SELECT count(*) AS "mails!",
       count(*) FILTER (WHERE status = 'dead') AS "expired!",
       count(*) FILTER (WHERE status = 'cancelled' OR status IS NULL) AS "duplicates!"
  FROM moved
