-- The state of the events named ($1) that stay as they are: those that neither failed nor wait for a
-- handler that there is by now ($4), and those that the other filters ($2 types, $3 a pattern of the
-- error) exclude. Read before anything is changed.
SELECT named.id AS "event_id!",
       CASE WHEN np.processing_status::text = 'failed' THEN 'failed_but_filtered_out'
            WHEN np.processing_status::text IN ('pending', 'processing', 'completed') THEN np.processing_status::text
            WHEN np.event_id IS NOT NULL THEN 'unknown'
            WHEN e.id IS NULL THEN 'no_such_event'
            WHEN EXISTS (SELECT FROM notification_pruned r WHERE r.event_ids @> named.id
                            AND (e.occurred_at <= r.pruned_at) IS NOT FALSE)
                THEN 'completed_and_pruned'
            ELSE 'not_enqueued' END AS "state!: EventState"
  FROM (SELECT DISTINCT unnest($1::bigint[])) AS named (id)
  LEFT JOIN domain_events e ON e.id = named.id
  LEFT JOIN notification_processing np ON np.event_id = named.id
 WHERE ((np.processing_status = 'failed'
         OR np.processing_status = 'pending' AND np.unhandled_type IS NOT NULL
            AND e.event_type::text = ANY ($4))
        AND ($2::text[] IS NULL OR e.event_type::text = ANY ($2))
        AND ($3::text IS NULL OR np.error_message LIKE $3)) IS NOT TRUE
 ORDER BY named.id
