-- Deletes notifications that were read before $1, among the next $2 from $3 on. One of an event that
-- may yet be retried stays: it alone records that its recipient was notified.
WITH page AS MATERIALIZED (
    SELECT id, read_at FROM notifications WHERE id >= $3 ORDER BY id LIMIT $2
),
old AS MATERIALIZED (
    SELECT n.id
      FROM notifications n
     WHERE n.id = ANY (ARRAY(SELECT id FROM page WHERE read_at < $1))
       AND n.read_at < $1
       AND coalesce(
               (SELECT p.processing_status = 'completed'
                  FROM notification_processing p WHERE p.event_id = n.event_id),
               EXISTS (SELECT FROM notification_pruned r WHERE r.event_ids @> n.event_id::bigint))
     ORDER BY n.id
       FOR UPDATE OF n SKIP LOCKED
),
gone AS (
    DELETE FROM notifications WHERE id = ANY (ARRAY(SELECT id FROM old)) RETURNING user_id, event_id
),
-- Only a deletion by the application lets the event type notify again.
kept AS (
    UPDATE notification_once o
       SET ends_with_notification = false
      FROM gone
     WHERE o.user_id = gone.user_id AND o.event_id = gone.event_id AND o.ends_with_notification
       AND o.user_id = ANY (ARRAY(SELECT user_id FROM gone))
)
SELECT (SELECT count(*) FROM gone) AS "deleted!", (SELECT nullif(max(id)::bigint, 9223372036854775807) + 1 FROM page) AS next
