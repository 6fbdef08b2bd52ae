-- The state of the events named ($1) that stay as they are: those that neither failed nor wait for a
-- handler that there is by now, and those that other filters exclude. Read before anything is changed.
SELECT named.id,
       CASE WHEN np.processing_status::text = 'failed' THEN 'failed_but_filtered_out'
            WHEN np.processing_status::text IN ('pending', 'processing', 'completed') THEN np.processing_status::text
            WHEN np.event_id IS NOT NULL THEN 'unknown'
            WHEN e.id IS NULL THEN 'no_such_event'
            WHEN EXISTS (SELECT FROM notification_pruned r WHERE r.event_ids @> named.id
                            AND (e.occurred_at <= r.pruned_at) IS NOT FALSE)
                THEN 'completed_and_pruned'
            ELSE 'not_enqueued' END AS state
  FROM (SELECT DISTINCT unnest($1)) AS named (id)
  LEFT JOIN domain_events e ON e.id = named.id
  LEFT JOIN notification_processing np ON np.event_id = named.id
 WHERE NOT EXISTS (SELECT FROM matching WHERE matching.id = named.id)
 ORDER BY named.id
