-- Selects what an action would change.
, page AS (SELECT id FROM matching),
chosen AS (SELECT id, channel, status, recipient, endpoint_id FROM matching),
mails AS (
    SELECT 1
      FROM pending_emails m
     WHERE m.delivery_id IN (SELECT id FROM chosen)
       AND (m.status = 'failed' OR $9::boolean AND m.status = 'processing')
       AND (m.status_reason LIKE 'cancelled:%') IS NOT TRUE
)
