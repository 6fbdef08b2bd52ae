-- Proves the claim, first thing in the transaction that writes: a row that was reset is not ours
-- any more, and the lock keeps the others ours until the commit. $1 events, $2 token.
SELECT event_id AS "event_id!",
       greatest(extract(epoch FROM now() - occurred_at), 0)::float8 AS latency
  FROM notification_processing
 WHERE event_id = ANY ($1) AND claim_token = $2 AND processing_status = 'processing'
 ORDER BY event_id
   FOR UPDATE
