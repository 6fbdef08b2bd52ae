-- The newest event, where something is known of an earlier one with its identifier or a higher one.
SELECT newest.id::bigint AS "id!"
  FROM (SELECT id, occurred_at FROM domain_events ORDER BY id DESC LIMIT 1) AS newest
 WHERE EXISTS (SELECT FROM notification_deliveries d
                WHERE d.event_id >= newest.id AND d.created_at < newest.occurred_at)
    OR EXISTS (SELECT FROM notification_pruned r
                WHERE r.event_ids && int8range(newest.id, NULL) AND r.pruned_at < newest.occurred_at)
