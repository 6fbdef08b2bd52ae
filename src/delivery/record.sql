-- Records results of deliveries that are still leased under their tokens. A column each: $1 delivery, $2
-- token, $3 status, $4 reason, $5 code, $6 the provider's identifier, $7 seconds until the next attempt, $8
-- outcome of the attempt (NULL: none was made), $9 its duration in ms, $10 status of the answer, $11 the
-- answer, $12 whether the attempt is charged. $13 e-mails left out, $14 the reasons; $15 whether e-mails
-- are recorded too, or deliveries alone.
WITH result AS MATERIALIZED (
    SELECT * FROM unnest(
               $1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::float8[],
               $8::text[], $9::int[], $10::int[], $11::text[], $12::boolean[]) AS r (
               id, token, status, reason, code, provider_id, retry_after, outcome, duration_ms,
               answer_status, answer, is_charged)
),
recorded AS (
    UPDATE notification_deliveries d
       SET status = r.status,
           reason = r.reason,
           code = r.code,
           provider_id = coalesce(r.provider_id, d.provider_id),
           next_attempt_at = CASE WHEN r.status = 'pending'
               THEN now() + make_interval(secs => r.retry_after) ELSE d.next_attempt_at END,
           attempts = CASE WHEN r.is_charged THEN d.attempts ELSE d.attempts - 1 END,
           lease_until = NULL,
           finished_at = CASE WHEN r.status <> 'pending' THEN now() END
      FROM result r
     -- A condition of its own, so that no plan scans all deliveries.
     WHERE d.id = ANY ($1) AND d.id = r.id AND d.status = 'sending' AND d.lease_token = r.token
    RETURNING r.*, d.key, d.target, d.transport, d.channel, d.attempts, d.leased_at
),
logged AS (
    INSERT INTO notification_delivery_attempts
        (delivery_id, attempt, transport, started_at, duration_ms, outcome, status, code, error, answer)
    SELECT id, attempts + CASE WHEN is_charged THEN 0 ELSE 1 END, coalesce(transport, channel),
           coalesce(leased_at, now()), duration_ms, outcome, answer_status, code, reason, answer
      FROM recorded
     WHERE outcome IS NOT NULL
     ORDER BY id
),
left_out AS (
    UPDATE pending_emails m
       SET status = 'failed', processed_at = now(), status_reason = 'cancelled: ' || s.reason
      FROM unnest($13::bigint[], $14::text[]) AS s (id, reason)
     WHERE $15 AND m.id = ANY ($13) AND m.id = s.id AND m.status = 'processing'
       AND m.delivery_id IN (SELECT id FROM recorded)
),
settled AS (
    UPDATE pending_emails m
       SET status = CASE WHEN r.status = 'delivered' THEN 'sent' ELSE 'failed' END,
           processed_at = now(),
           status_reason = CASE WHEN r.status <> 'delivered' THEN r.status || ': ' || r.reason END
      FROM recorded r
     WHERE $15 AND r.status <> 'pending' AND m.delivery_id = ANY ($1) AND m.delivery_id = r.id
       AND m.status = 'processing'
       AND m.id <> ALL ($13)
),
-- A message that was not sent suppresses nothing; one that may have arrived does.
released AS (
    UPDATE notification_delivery_guards g
       SET until = now()
      FROM recorded r
     WHERE r.status IN ('cancelled', 'dead') AND g.delivery_key = r.key AND g.until > now()
),
-- A delivered message closes the target's circuit breaker.
cleared AS (
    UPDATE notification_delivery_targets t
       SET failures = 0, failing_since = NULL, failing_days = 0, throttled = 0, throttled_until = NULL
     WHERE (t.failures > 0 OR t.failing_since IS NOT NULL OR t.throttled > 0)
       AND t.target IN (SELECT target FROM recorded WHERE status = 'delivered')
)
SELECT id AS "id!", pg_current_xact_id()::text::bigint AS "xid!" FROM recorded
