-- Proves the claim, first thing in the transaction that writes: a row that was reset has another
-- token or none, and the lock keeps the others ours until the commit. Fresh is what nobody has been
-- notified of. $1 events, $2 token.
SELECT event_id AS "event_id!", pg_current_xact_id()::text::bigint AS "xid!",
       CASE WHEN occurred_at BETWEEN '1900-01-01' AND now()
            THEN extract(epoch FROM now() - occurred_at)::float8 END AS latency,
       -- Not so only where an older job has left some.
       (SELECT true FROM notifications n WHERE n.event_id = np.event_id LIMIT 1) IS NULL AS "is_fresh!"
  FROM notification_processing np
 WHERE event_id = ANY ($1) AND claim_token = $2 AND processing_status = 'processing'
 ORDER BY event_id
   FOR UPDATE
