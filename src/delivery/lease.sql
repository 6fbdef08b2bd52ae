-- Leases due deliveries, a few of each target: first of targets with the fewest messages in flight, then
-- of those that have waited longest. A slow or paused target delays no other. $1 at most this many in all;
-- $2 the targets with messages in flight, $3 how many; $4 at most this many in flight to one target; $5
-- targets that this process cannot send to; $6 the channels, $7 the seconds of each between two messages
-- to one target, or 0; $8 seconds until a lease expires; $9 the worker; $10 the e-mail transport; $11
-- seconds until the lease of an e-mail expires; $12 the routes of this environment.
WITH RECURSIVE waiting (target) AS (
    -- A skip scan: from target to target by the index, however long the queue of each.
    (SELECT target FROM notification_deliveries WHERE status = 'pending' ORDER BY target LIMIT 1)
    UNION ALL
    SELECT (SELECT d.target FROM notification_deliveries d
             WHERE d.status = 'pending' AND d.target > w.target
             ORDER BY d.target LIMIT 1)
      FROM waiting w
     WHERE w.target IS NOT NULL
),
open AS MATERIALIZED (
    SELECT w.target, first.next_attempt_at, rule.pace, rule.pace > 0 AS is_paced, sent.messages AS busy,
           CASE WHEN rule.pace > 0 THEN 1 ELSE $4 END - sent.messages AS room
      FROM waiting w
     CROSS JOIN LATERAL (
           SELECT d.next_attempt_at, d.channel FROM notification_deliveries d
            WHERE d.status = 'pending' AND d.target = w.target AND d.next_attempt_at <= now()
            ORDER BY d.next_attempt_at, d.id
            LIMIT 1) AS first
      JOIN unnest($6::text[], $7::float8[]) AS rule (channel, pace) ON rule.channel = first.channel
      LEFT JOIN unnest($2::text[], $3::int[]) AS busy (target, messages) ON busy.target = w.target
     CROSS JOIN LATERAL (SELECT coalesce(busy.messages, 0)) AS sent (messages)
     WHERE w.target <> ALL ($5)
       AND (w.target NOT LIKE 'env:%' OR w.target = ANY ($12))
       AND NOT EXISTS (
           SELECT FROM notification_delivery_targets t
            WHERE t.target = w.target AND t.paused_until > now())
),
-- How many each of the first targets may lease, so that they advance equally.
share AS MATERIALIZED (
    SELECT turn.target, turn.pace, count(*) AS room
      FROM (
           SELECT o.target, o.pace
             FROM (SELECT * FROM open WHERE room > 0
                    ORDER BY busy, next_attempt_at, target
                    LIMIT $1) AS o
            CROSS JOIN LATERAL (
                  SELECT row_number() OVER () AS place FROM (
                         SELECT FROM notification_deliveries x
                          WHERE x.status = 'pending' AND x.target = o.target AND x.next_attempt_at <= now()
                          LIMIT o.room) AS first) AS due
            ORDER BY o.busy + due.place, o.next_attempt_at, o.target
            LIMIT $1) AS turn
     GROUP BY turn.target, turn.pace
),
-- The worker that moves a paced target's pause may send to it; of two at once only one does.
paced AS (
    INSERT INTO notification_delivery_targets AS t (target, paused_until)
    SELECT target, now() + make_interval(secs => pace)
      FROM share
     WHERE pace > 0
     ORDER BY target
    ON CONFLICT (target) DO UPDATE SET paused_until = excluded.paused_until
     WHERE t.paused_until IS NULL OR t.paused_until <= now()
    RETURNING target
),
due AS MATERIALIZED (
    SELECT d.id
      FROM (SELECT open.target, coalesce(share.room, open.room) AS room
              FROM open
              LEFT JOIN share USING (target)
             WHERE open.room > 0 AND (NOT open.is_paced OR open.target IN (SELECT target FROM paced))
             -- The other targets replace what another worker has just leased of these.
             ORDER BY share.target IS NULL, open.busy, open.next_attempt_at, open.target) AS o
     CROSS JOIN LATERAL (
           SELECT x.id FROM notification_deliveries x
            WHERE x.status = 'pending' AND x.target = o.target AND x.next_attempt_at <= now()
              AND x.channel = ANY ($6)
            ORDER BY x.next_attempt_at, x.id
            LIMIT o.room
              FOR UPDATE SKIP LOCKED) AS d
     LIMIT $1
),
token AS MATERIALIZED (SELECT nextval('notification_lease_token_seq') AS value)
UPDATE notification_deliveries d
   SET status = 'sending',
       -- The attempt is charged here, durably, even if this process dies.
       attempts = d.attempts + 1,
       lease_token = (SELECT value FROM token),
       leased_at = now(),
       lease_until = now() + make_interval(secs => CASE d.channel WHEN 'email' THEN $11::float8 ELSE $8::float8 END),
       leased_by = $9,
       transport = CASE d.channel WHEN 'email' THEN $10 WHEN 'sms' THEN 'twilio' ELSE d.channel END
 WHERE d.id = ANY (ARRAY(SELECT id FROM due))
RETURNING d.id, d.key, d.channel AS "channel: Channel", d.target, d.recipient, d.user_id, d.endpoint_id, d.event_type,
          d.message::text AS "message!", d.occurred_at, d.attempts, d.lease_token AS "token!",
          coalesce(d.requeued_at, d.created_at) AS "queued_at!", now() AS "now!",
          (SELECT a.started_at FROM notification_delivery_attempts a
            WHERE a.delivery_id = d.id AND (a.started_at < d.requeued_at) IS NOT TRUE
            ORDER BY a.id LIMIT 1) AS "tried_since?",
          coalesce((SELECT t.failures FROM notification_delivery_targets t WHERE t.target = d.target), 0) AS "failures!",
          pg_current_xact_id()::text::bigint AS "xid!"
