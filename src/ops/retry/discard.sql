-- Completes failed events without effect, at most $5 of them from $4 on, by identifier; $1 to $3 as in
-- retry.sql. They keep the time of their failure: they are as old as it, to prune and to status.
WITH chosen AS MATERIALIZED (
    SELECT np.event_id, e.event_type::text AS event_type
      FROM notification_processing np
      JOIN domain_events e ON e.id = np.event_id
     WHERE np.processing_status = 'failed' AND np.event_id >= $4
       AND ($1::bigint[] IS NULL OR np.event_id = ANY ($1))
       AND ($2::text[] IS NULL OR e.event_type::text = ANY ($2))
       AND ($3::text IS NULL OR np.error_message LIKE $3)
     ORDER BY np.event_id
     LIMIT $5
       FOR UPDATE OF np
),
discarded AS (
    UPDATE notification_processing
       SET processing_status = 'completed', completed_at = coalesce(completed_at, now()),
           unhandled_type = NULL, error_message = concat('discarded: ', error_message)
     WHERE event_id = ANY (ARRAY(SELECT event_id FROM chosen))
)
SELECT event_type, array_agg(event_id ORDER BY event_id)
  FROM chosen
 GROUP BY event_type
