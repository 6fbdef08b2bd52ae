-- Cancels what matches: of the next $12 from $11 on, by identifier, those that still match once they
-- are locked. Their e-mails end with them, except those that were left out of them before.
, page AS MATERIALIZED (
    SELECT id FROM matching WHERE id >= $11 ORDER BY id LIMIT $12
),
chosen AS MATERIALIZED (
    SELECT d.id, d.channel, d.status, d.recipient, d.endpoint_id, concat_ws('; it was ', 'discarded manually',
               d.status || coalesce(': ' || nullif(d.reason, ''), '')) AS reason
      FROM notification_deliveries d
     WHERE d.id = ANY (ARRAY(SELECT id FROM page)) AND d.status IN ('dead', 'uncertain')
       AND ($3::text IS NULL OR d.reason LIKE $3 OR d.code LIKE $3)
       AND ($5::text[] IS NULL OR d.status = ANY ($5))
     ORDER BY d.id
       FOR UPDATE OF d
),
changed AS (
    UPDATE notification_deliveries d
       SET status = 'cancelled', code = 'discarded', reason = chosen.reason, finished_at = now(),
           lease_token = NULL, lease_until = NULL, leased_by = NULL
      FROM chosen
     WHERE d.id = chosen.id
    RETURNING d.key, chosen.status
),
-- A message that never arrived suppresses no repetition; an uncertain one may have arrived.
released AS (
    UPDATE notification_delivery_guards g
       SET until = now()
      FROM changed
     WHERE changed.status = 'dead' AND g.delivery_key = changed.key AND g.until > now()
),
mails AS (
    UPDATE pending_emails m
       SET status = 'failed', status_reason = 'cancelled: ' || chosen.reason, processed_at = now()
      FROM chosen
     WHERE m.delivery_id = chosen.id AND m.status IN ('processing', 'failed')
       AND (m.status_reason LIKE 'cancelled:%') IS NOT TRUE
    RETURNING 1
)
