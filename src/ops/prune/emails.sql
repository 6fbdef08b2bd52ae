-- Deletes e-mails that were sent or cancelled before $1, among the next $2 from $3 on. One of an event
-- that may yet be retried stays: it alone records that it was queued.
WITH page AS MATERIALIZED (
    SELECT id, coalesce(processed_at, created_at) AS ended_at,
           status = 'sent' OR status = 'failed' AND status_reason LIKE 'cancelled:%' AS is_done
      FROM pending_emails WHERE id >= $3 ORDER BY id LIMIT $2
),
old AS MATERIALIZED (
    SELECT m.id
      FROM pending_emails m
     WHERE m.id = ANY (ARRAY(SELECT id FROM page WHERE is_done AND ended_at < $1))
       AND (m.status = 'sent' OR m.status = 'failed' AND m.status_reason LIKE 'cancelled:%')
       AND coalesce(
               (SELECT p.processing_status = 'completed'
                  FROM notification_processing p WHERE p.event_id = m.event_id),
               EXISTS (SELECT FROM notification_pruned r WHERE r.event_ids @> m.event_id::bigint))
     ORDER BY m.id
       FOR UPDATE OF m SKIP LOCKED
),
gone AS (
    DELETE FROM pending_emails WHERE id = ANY (ARRAY(SELECT id FROM old)) RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS "deleted!", (SELECT nullif(max(id)::bigint, 9223372036854775807) + 1 FROM page) AS next
