-- Counts what would be deleted as older than $1. $2: events as well. $3: tables that their deletion cascades to.
SELECT (SELECT count(*)
          FROM notifications n
         WHERE n.read_at < $1
           AND coalesce(
                   (SELECT p.processing_status = 'completed'
                      FROM notification_processing p WHERE p.event_id = n.event_id),
                   EXISTS (SELECT FROM notification_pruned r
                            WHERE r.event_ids @> n.event_id::bigint))) AS "notifications_count!",
       (SELECT count(*)
          FROM pending_emails m
         WHERE (m.status = 'sent' OR m.status = 'failed' AND m.status_reason LIKE 'cancelled:%')
           AND coalesce(m.processed_at, m.created_at) < $1
           AND coalesce(
                   (SELECT p.processing_status = 'completed'
                      FROM notification_processing p WHERE p.event_id = m.event_id),
                   EXISTS (SELECT FROM notification_pruned r
                            WHERE r.event_ids @> m.event_id::bigint))) AS "emails_count!",
       (SELECT count(*)
          FROM notification_processing
         WHERE processing_status = 'completed' AND completed_at < $1
           AND event_id < 9223372036854775807) AS "processing_rows_count!",
       coalesce(CASE WHEN $2::boolean THEN
           (SELECT count(*)
              FROM (SELECT event_id, NULL
                      FROM notification_processing
                     WHERE processing_status = 'completed' AND completed_at < $1
                       AND event_id < 9223372036854775807
                    UNION ALL
                    SELECT id, pruned_at
                      FROM notification_pruned
                     CROSS JOIN LATERAL
                           generate_series(lower(event_ids), upper(event_ids) - 1) AS pruned (id)
                     WHERE completed_at < $1 AND NOT EXISTS (
                               SELECT FROM notification_processing p WHERE p.event_id = id)
                   ) AS done (event_id, pruned_at)
              JOIN domain_events e ON e.id = done.event_id
             WHERE (e.occurred_at <= done.pruned_at) IS NOT FALSE
               AND NOT EXISTS (
                       SELECT FROM notifications n
                        WHERE n.event_id = e.id AND (n.read_at < $1) IS NOT TRUE)
               AND NOT EXISTS (
                       SELECT FROM pending_emails m
                        WHERE m.event_id = e.id
                          AND ((m.status = 'sent' OR m.status = 'failed' AND m.status_reason LIKE 'cancelled:%')
                               AND coalesce(m.processed_at, m.created_at) < $1)
                              IS NOT TRUE)
               AND NOT EXISTS (
                       SELECT FROM notification_deliveries d
                        WHERE d.event_id = e.id
                          AND (d.status IN ('delivered', 'cancelled') AND d.finished_at < $1
                               AND NOT EXISTS (SELECT FROM pending_emails m
                                                WHERE m.delivery_id = d.id
                                                  AND m.status IN ('pending', 'processing')))
                              IS NOT TRUE))
       END, 0) AS "events_count!",
       old_deliveries.deliveries AS "deliveries_count!", old_deliveries.attempts AS "attempts_count!",
       (SELECT count(*) FROM notification_delivery_guards WHERE until < now()) AS "dedup_keys_count!",
       $1 AS "older_than!", $3::text[] AS "cascades_to!", false AS "stopped_early!"
  FROM (SELECT count(*) AS deliveries, coalesce(sum(attempts), 0)::bigint AS attempts
          FROM (SELECT (SELECT count(*) FROM notification_delivery_attempts a WHERE a.delivery_id = d.id) AS attempts
                  FROM notification_deliveries d
                 WHERE d.status IN ('delivered', 'cancelled') AND d.finished_at < $1
                   AND (d.digest_window IS NULL OR d.digest_window < now() - interval '7 days')
                   AND (d.event_id IS NULL OR coalesce(
                           (SELECT p.processing_status = 'completed'
                              FROM notification_processing p WHERE p.event_id = d.event_id),
                           EXISTS (SELECT FROM notification_pruned r WHERE r.event_ids @> d.event_id)
                           OR NOT EXISTS (SELECT FROM domain_events e WHERE e.id = d.event_id)))
                   AND NOT EXISTS (SELECT FROM pending_emails m
                                    WHERE m.delivery_id = d.id AND m.status IN ('pending', 'processing'))
               ) AS old
       ) AS old_deliveries
