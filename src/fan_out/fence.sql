-- Proves the claim, first thing in the transaction that writes: a row that was reset has another
-- token or none, and the lock keeps the others ours until the commit. A row of ours that is
-- settled was settled by a try whose answer was lost. $1 events, $2 token.
SELECT event_id AS "event_id!", processing_status = 'processing' AS "is_open!",
       CASE WHEN occurred_at BETWEEN '1900-01-01' AND now()
            THEN extract(epoch FROM now() - occurred_at)::float8 END AS latency
  FROM notification_processing
 WHERE event_id = ANY ($1) AND claim_token = $2
 ORDER BY event_id
   FOR UPDATE
