-- Completes what matches without effect: of the next $12 from $11 on, by identifier, those that still do once
-- they are locked. They keep the time of their failure: they are as old as it, to prune and to status.
, page AS MATERIALIZED (
    SELECT id, name FROM matching WHERE id >= $11 ORDER BY id LIMIT $12
),
chosen AS MATERIALIZED (
    SELECT np.event_id AS id
      FROM notification_processing np
     WHERE np.event_id = ANY (ARRAY(SELECT id FROM page)) AND np.processing_status = 'failed'
       AND ($3::text IS NULL OR np.error_message LIKE $3)
     ORDER BY np.event_id
       FOR UPDATE
),
discarded AS (
    UPDATE notification_processing
       SET processing_status = 'completed', completed_at = coalesce(completed_at, now()),
           unhandled_type = NULL, error_message = concat('discarded: ', error_message)
     WHERE event_id = ANY (ARRAY(SELECT id FROM chosen))
)
