-- Deletes deliveries that were delivered or cancelled before $1, among the next $2 after ($3, $4), with
-- their attempts. Those stay whose event may be retried (they alone record that it was queued), whose
-- digest window may be open, or that hold a waiting e-mail.
WITH page AS MATERIALIZED (
    SELECT id, finished_at
      FROM notification_deliveries
     WHERE status IN ('delivered', 'cancelled') AND finished_at < $1 AND (finished_at, id) > ($3, $4)
     ORDER BY finished_at, id
     LIMIT $2
),
old AS MATERIALIZED (
    SELECT d.id
      FROM notification_deliveries d
     WHERE d.id = ANY (ARRAY(SELECT id FROM page))
       AND d.status IN ('delivered', 'cancelled')
       AND (d.digest_window IS NULL OR d.digest_window < now() - interval '7 days')
       AND (d.event_id IS NULL OR coalesce(
               (SELECT p.processing_status = 'completed'
                  FROM notification_processing p WHERE p.event_id = d.event_id),
               EXISTS (SELECT FROM notification_pruned r WHERE r.event_ids @> d.event_id)
               OR NOT EXISTS (SELECT FROM domain_events e WHERE e.id = d.event_id)))
       AND NOT EXISTS (SELECT FROM pending_emails m
                        WHERE m.delivery_id = d.id AND m.status IN ('pending', 'processing'))
     ORDER BY d.id
       FOR UPDATE OF d SKIP LOCKED
),
attempt AS (
    SELECT count(*) AS attempts
      FROM notification_delivery_attempts WHERE delivery_id = ANY (ARRAY(SELECT id FROM old))
),
gone AS (
    DELETE FROM notification_deliveries WHERE id = ANY (ARRAY(SELECT id FROM old)) RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS "deleted!", (SELECT attempts FROM attempt) AS "attempts!",
       last.finished_at AS "finished_at?", last.id AS "id?"
  FROM (SELECT 1) AS always
  LEFT JOIN (SELECT finished_at, id FROM page ORDER BY finished_at DESC, id DESC LIMIT 1) AS last ON true
