-- Counts the deliveries older than $1 that would be deleted, and the dedup keys.
SELECT count(*) AS deliveries, coalesce(sum(attempts), 0)::bigint AS attempts,
       (SELECT count(*) FROM notification_delivery_guards WHERE until < now()) AS dedup_keys
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
