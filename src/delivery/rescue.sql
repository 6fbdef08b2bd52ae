-- Takes deliveries from senders that are gone: their lease has ended, and nothing was recorded. The
-- message may have arrived. $1 at most this many; $2 the channels, each with $3 its attempts in all
-- and $4 whether it is held for a person rather than sent again.
WITH rule AS MATERIALIZED (
    SELECT * FROM unnest($2::text[], $3::int[], $4::boolean[]) AS r (channel, attempts, is_held)
),
gone AS MATERIALIZED (
    SELECT id, channel, attempts
      FROM notification_deliveries
     WHERE status = 'sending' AND lease_until < now() AND channel = ANY ($2)
     ORDER BY lease_until
     LIMIT $1
       FOR UPDATE SKIP LOCKED
),
taken AS (
    UPDATE notification_deliveries d
       SET status = verdict.status,
           next_attempt_at = now(),
           lease_token = nextval('notification_lease_token_seq'),
           lease_until = NULL,
           reason = 'the sender was gone before it could record what became of it',
           code = 'lost',
           finished_at = CASE WHEN verdict.status <> 'pending' THEN now() END
      FROM gone
      JOIN rule ON rule.channel = gone.channel
     CROSS JOIN LATERAL (SELECT CASE
               WHEN rule.is_held THEN 'uncertain'
               WHEN gone.attempts >= rule.attempts THEN 'dead'
               ELSE 'pending' END) AS verdict (status)
     -- By itself, so that no plan looks for them among all that ever was.
     WHERE d.id = ANY (ARRAY(SELECT id FROM gone)) AND d.id = gone.id
    RETURNING d.id, d.key, d.status, d.attempts, d.transport, d.channel, d.event_type, d.leased_at, d.reason
),
logged AS (
    INSERT INTO notification_delivery_attempts
        (delivery_id, attempt, transport, started_at, outcome, code, error)
    SELECT id, attempts, coalesce(transport, channel), coalesce(leased_at, now()), 'lost', 'lost', reason
      FROM taken
     ORDER BY id
),
settled AS (
    UPDATE pending_emails m
       SET status = 'failed', processed_at = now(), status_reason = t.status || ': ' || t.reason
      FROM taken t
     WHERE t.status <> 'pending' AND m.delivery_id = ANY (ARRAY(SELECT id FROM gone))
       AND m.delivery_id = t.id AND m.status = 'processing'
),
released AS (
    UPDATE notification_delivery_guards g
       SET until = now()
      FROM taken t
     WHERE t.status = 'dead' AND g.delivery_key = t.key AND g.until > now()
)
SELECT channel AS "channel!", event_type AS "event_type!", status AS "status!", count(*) AS "messages!"
  FROM taken
 GROUP BY channel, event_type, status
