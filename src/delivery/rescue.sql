-- Reclaims expired leases: their workers died and recorded nothing. The message may have arrived. $1 at
-- most this many; $2 the channels, $3 their attempts in all, $4 whether an uncertain message is held
-- rather than sent again.
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
       SET status = next.status,
           next_attempt_at = now(),
           lease_token = nextval('notification_lease_token_seq'),
           lease_until = NULL,
           reason = 'the worker died before it recorded the result',
           code = 'lost',
           finished_at = CASE WHEN next.status <> 'pending' THEN now() END
      FROM gone
      JOIN rule ON rule.channel = gone.channel
     CROSS JOIN LATERAL (SELECT CASE
               WHEN rule.is_held THEN 'uncertain'
               WHEN gone.attempts >= rule.attempts THEN 'dead'
               ELSE 'pending' END) AS next (status)
     -- A condition of its own, so that no plan scans all deliveries.
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
SELECT channel AS "channel!: Channel", event_type AS "event_type!", status AS "status!: DeliveryStatus",
       count(*) AS "messages!"
  FROM taken
 GROUP BY channel, event_type, status
