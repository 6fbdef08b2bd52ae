-- Expires deliveries that this process cannot send and that were not attempted within $1 seconds: those
-- to the targets $2, and to routes of the environment other than $3. (Others are checked when they are
-- leased.) $4 at most this many. Returns what is pending for each of these routes, and targets that wait
-- for a channel other than $5, of a newer version.
WITH RECURSIVE waiting (target) AS (
    -- From target to target by the index, as leases are.
    (SELECT target FROM notification_deliveries WHERE status = 'pending' ORDER BY target LIMIT 1)
    UNION ALL
    SELECT (SELECT d.target FROM notification_deliveries d
             WHERE d.status = 'pending' AND d.target > w.target
             ORDER BY d.target LIMIT 1)
      FROM waiting w
     WHERE w.target IS NOT NULL
),
closed AS MATERIALIZED (
    SELECT w.target, w.target LIKE 'env:%' AND w.target <> ALL ($3) AS is_route,
           CASE WHEN first.channel <> ALL ($5) THEN first.channel END AS unknown
      FROM waiting w
     CROSS JOIN LATERAL (
           SELECT channel FROM notification_deliveries d
            WHERE d.status = 'pending' AND d.target = w.target
            ORDER BY d.next_attempt_at, d.id
            LIMIT 1) AS first
     WHERE w.target = ANY ($2) OR w.target LIKE 'env:%' AND w.target <> ALL ($3) OR first.channel <> ALL ($5)
),
old AS MATERIALIZED (
    SELECT d.id
      FROM closed
     CROSS JOIN LATERAL (
           SELECT id FROM notification_deliveries x
            WHERE x.status = 'pending' AND x.target = closed.target AND closed.unknown IS NULL
              AND x.channel = ANY ($5) AND x.next_attempt_at < now() - make_interval(secs => $1)
              AND x.attempts = 0 AND coalesce(x.requeued_at, x.created_at) < now() - make_interval(secs => $1)
            ORDER BY x.next_attempt_at, x.id
            LIMIT $4
              FOR UPDATE SKIP LOCKED) AS d
     LIMIT $4
),
dead AS (
    UPDATE notification_deliveries d
       SET status = 'dead', code = 'expired', finished_at = now(),
           reason = 'expired: it waited for longer than NOTIFY_DELIVERY_MAX_AGE'
     WHERE d.id = ANY (ARRAY(SELECT id FROM old))
    RETURNING d.id, d.key, d.target, d.channel, d.event_type, d.status, d.reason
),
released AS (
    UPDATE notification_delivery_guards g
       SET until = now()
      FROM dead
     WHERE g.delivery_key = dead.key AND g.until > now()
),
settled AS (
    UPDATE pending_emails m
       SET status = 'failed', processed_at = now(), status_reason = dead.status || ': ' || dead.reason
      FROM dead
     WHERE m.delivery_id = ANY (ARRAY(SELECT id FROM old)) AND m.delivery_id = dead.id AND m.status = 'processing'
)
SELECT closed.target AS "target!", closed.is_route AS "is_route!", closed.unknown,
       dead.channel AS "channel?: Channel",
       dead.event_type AS "event_type?", count(dead.id) AS "expired!",
       (SELECT count(*) FROM notification_deliveries x
         WHERE closed.is_route AND x.status = 'pending' AND x.target = closed.target) AS "queued!"
  FROM closed
  LEFT JOIN dead ON dead.target = closed.target
 GROUP BY closed.target, closed.is_route, closed.unknown, dead.channel, dead.event_type
 ORDER BY closed.target
