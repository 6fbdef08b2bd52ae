-- Makes digests of aggregated e-mails: one for each recipient and window, of what was queued before the
-- window began. $1 length of a window in seconds; $2 the recipients of at most this many e-mails, oldest
-- first; $3 seconds after which an e-mail expires; $4 at most this many e-mails of one recipient, and no
-- further recipient once there are as many; $5 e-mails to skip.
WITH bounds AS MATERIALIZED (
    SELECT to_timestamp(floor(extract(epoch FROM now())::float8 / $1) * $1) AS window_start
),
oldest AS MATERIALIZED (
    SELECT DISTINCT user_id FROM (
        SELECT m.user_id
          FROM pending_emails m
         WHERE m.status = 'pending' AND m.delivery_type = 'aggregated' AND m.user_id IS NOT NULL
           AND m.created_at < (SELECT window_start FROM bounds) AND m.id <> ALL ($5)
           -- The next digest of a recipient belongs to the next window. A look-up per e-mail, not a join.
           AND (SELECT d.id FROM notification_deliveries d
                 WHERE d.user_id = m.user_id AND d.digest_window = (SELECT window_start FROM bounds)) IS NULL
         ORDER BY m.created_at
         LIMIT $2) AS first
),
-- As many recipients as one statement has time for.
taken AS MATERIALIZED (
    SELECT user_id FROM (
        SELECT oldest.user_id, sum(own.mails) OVER (ORDER BY oldest.user_id) - own.mails AS before
          FROM oldest
         CROSS JOIN LATERAL (
               SELECT count(*) AS mails FROM (
                      SELECT FROM pending_emails x
                       WHERE x.user_id = oldest.user_id AND x.status = 'pending'
                         AND x.delivery_type <> 'immediate' AND x.created_at < (SELECT window_start FROM bounds)
                       LIMIT $4) AS first) AS own) AS counted
     WHERE before < $4
),
mine AS MATERIALIZED (
    SELECT m.id, m.user_id, m.created_at, m.created_at < now() - make_interval(secs => $3) AS is_late
      FROM taken
     CROSS JOIN LATERAL (
           SELECT id, user_id, created_at FROM pending_emails x
            WHERE x.user_id = taken.user_id AND x.status = 'pending'
              -- Written like the condition of the index over recipients.
              AND x.delivery_type <> 'immediate' AND x.created_at < (SELECT window_start FROM bounds)
              AND x.id <> ALL ($5)
            ORDER BY x.created_at, x.id
            LIMIT $4
              FOR UPDATE SKIP LOCKED) AS m
),
digest AS MATERIALIZED (
    SELECT user_id, is_late, greatest(max(created_at), '1970-01-01') AS latest, gen_random_uuid() AS key
      FROM mine
     GROUP BY user_id, is_late
),
queued AS (
    INSERT INTO notification_deliveries
        (key, channel, target, recipient, user_id, event_type, digest_window, occurred_at, status,
         reason, code, finished_at)
    SELECT g.key, 'email', 'email', 'user:' || g.user_id, g.user_id, 'digest',
           -- Expired e-mails are no part of the window's digest.
           CASE WHEN NOT g.is_late THEN bounds.window_start END, g.latest,
           CASE WHEN g.is_late THEN 'dead' ELSE 'pending' END,
           CASE WHEN g.is_late THEN 'expired: it waited for longer than NOTIFY_DELIVERY_MAX_AGE' END,
           CASE WHEN g.is_late THEN 'expired' END,
           CASE WHEN g.is_late THEN now() END
      FROM digest g, bounds
     ORDER BY g.user_id, g.is_late
    ON CONFLICT (user_id, digest_window) WHERE digest_window IS NOT NULL DO NOTHING
    RETURNING id, key, status, reason
),
-- As arrays, which the planner takes for short ones; a join of rows estimated as one would scan all
-- e-mails for each.
place AS MATERIALIZED (
    SELECT array_agg(mine.id) AS ids, array_agg(q.id) AS deliveries, array_agg(q.status) AS statuses,
           array_agg(q.reason) AS reasons
      FROM mine
      JOIN digest USING (user_id, is_late)
      JOIN queued q USING (key)
),
moved AS (
    UPDATE pending_emails m
       SET status = CASE WHEN p.status = 'pending' THEN 'processing' ELSE 'failed' END,
           delivery_id = p.delivery_id,
           processed_at = CASE WHEN p.status = 'pending' THEN NULL ELSE now() END,
           status_reason = CASE WHEN p.status <> 'pending' THEN p.status || ': ' || p.reason END
      FROM unnest((SELECT ids FROM place), (SELECT deliveries FROM place), (SELECT statuses FROM place),
                  (SELECT reasons FROM place)) AS p (id, delivery_id, status, reason)
     WHERE m.id = ANY ((SELECT ids FROM place)::bigint[]) AND m.id = p.id
    RETURNING p.status, p.delivery_id
)
SELECT 'digest' AS "event_type!", status AS "status!: DeliveryStatus",
       count(*) AS "mails!", count(DISTINCT delivery_id) AS "deliveries!"
  FROM moved
 GROUP BY status
