-- Takes what is due, a few of each target: first for those that the fewest messages are on their way
-- to, then for those that have waited longest. One that is slow or paused is in nobody's way. $1 at most
-- this many in all; $2 the targets that messages are on their way to, each with $3 how many; $4 at most
-- this many to a target at once; $5 targets that nothing can be sent to from here; $6 the channels, of
-- each of which a target takes one message in $7 seconds, if these are not 0; $8 seconds until the lease
-- ends; $9 who takes them; $10
-- what carries mails; $11 seconds until the lease of a mail ends; $12 the routes of the environment that
-- this one has.
WITH RECURSIVE waiting (target) AS (
    -- From target to target by the index, whatever waits behind each.
    (SELECT target FROM notification_deliveries WHERE status = 'pending' ORDER BY target LIMIT 1)
    UNION ALL
    SELECT (SELECT d.target FROM notification_deliveries d
             WHERE d.status = 'pending' AND d.target > w.target
             ORDER BY d.target LIMIT 1)
      FROM waiting w
     WHERE w.target IS NOT NULL
),
open AS MATERIALIZED (
    SELECT w.target, first.next_attempt_at, rule.pace, rule.pace > 0 AS is_paced, way.messages AS busy,
           CASE WHEN rule.pace > 0 THEN 1 ELSE $4 END - way.messages AS room
      FROM waiting w
     CROSS JOIN LATERAL (
           SELECT d.next_attempt_at, d.channel FROM notification_deliveries d
            WHERE d.status = 'pending' AND d.target = w.target AND d.next_attempt_at <= now()
            ORDER BY d.next_attempt_at, d.id
            LIMIT 1) AS first
      JOIN unnest($6::text[], $7::float8[]) AS rule (channel, pace) ON rule.channel = first.channel
      LEFT JOIN unnest($2::text[], $3::int[]) AS busy (target, messages) ON busy.target = w.target
     CROSS JOIN LATERAL (SELECT coalesce(busy.messages, 0)) AS way (messages)
     WHERE w.target <> ALL ($5)
       AND (w.target NOT LIKE 'env:%' OR w.target = ANY ($12))
       AND NOT EXISTS (
           SELECT FROM notification_delivery_targets t
            WHERE t.target = w.target AND t.paused_until > now())
),
-- How much each of the first may take, so that they get equally far.
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
-- Whoever moves a paced target's pause may send to it; of two at once only one does.
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
             -- The others for what somebody else has just taken of these.
             ORDER BY share.target IS NULL, open.busy, open.next_attempt_at, open.target) AS o
     CROSS JOIN LATERAL (
           SELECT x.id FROM notification_deliveries x
            WHERE x.status = 'pending' AND x.target = o.target AND x.next_attempt_at <= now()
            ORDER BY x.next_attempt_at, x.id
            LIMIT o.room
              FOR UPDATE SKIP LOCKED) AS d
     LIMIT $1
),
token AS MATERIALIZED (SELECT nextval('notification_lease_token_seq') AS value)
UPDATE notification_deliveries d
   SET status = 'sending',
       -- The attempt is spent here, durably, whatever becomes of this process.
       attempts = d.attempts + 1,
       lease_token = (SELECT value FROM token),
       leased_at = now(),
       lease_until = now() + make_interval(secs => CASE d.channel WHEN 'email' THEN $11::float8 ELSE $8::float8 END),
       leased_by = $9,
       transport = CASE d.channel WHEN 'email' THEN $10 WHEN 'sms' THEN 'twilio' ELSE d.channel END
 WHERE d.id = ANY (ARRAY(SELECT id FROM due))
RETURNING d.id, d.key, d.channel, d.target, d.recipient, d.user_id, d.endpoint_id, d.event_type,
          d.message::text AS "message!", d.occurred_at, d.attempts, d.lease_token AS "token!",
          coalesce(d.requeued_at, d.created_at) AS "queued_at!", now() AS "now!",
          (SELECT a.started_at FROM notification_delivery_attempts a
            WHERE a.delivery_id = d.id AND (a.started_at < d.requeued_at) IS NOT TRUE
            ORDER BY a.id LIMIT 1) AS "tried_since?",
          coalesce((SELECT t.failures FROM notification_delivery_targets t WHERE t.target = d.target), 0) AS "failures!"
