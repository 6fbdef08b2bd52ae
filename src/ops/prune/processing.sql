-- Deletes up to $2 processing rows that were completed before $1, and not before $3, where the
-- last batch ended. What they stood for is kept as ranges of identifiers, in the same statement:
-- no moment in which an event seems never to have been processed.
WITH old AS MATERIALIZED (
    SELECT event_id
      FROM notification_processing
     WHERE processing_status = 'completed' AND completed_at < $1 AND completed_at >= $3
       -- No range ends behind the last of all numbers: its row stays.
       AND event_id < 9223372036854775807
     ORDER BY completed_at
     LIMIT $2
       FOR UPDATE SKIP LOCKED
),
gone AS (
    DELETE FROM notification_processing
     WHERE event_id = ANY (ARRAY(SELECT event_id FROM old))
    RETURNING event_id, completed_at
),
-- Neighbours have the same difference between identifier and place.
placed AS (
    SELECT event_id, completed_at, event_id::numeric - row_number() OVER (ORDER BY event_id) AS island
      FROM gone
),
marked AS (
    INSERT INTO notification_pruned (event_ids, completed_at)
    SELECT int8range(min(event_id), max(event_id), '[]'), max(completed_at)
      FROM placed
     GROUP BY island
     ORDER BY 1
    ON CONFLICT (event_ids) DO UPDATE
       SET completed_at = excluded.completed_at, pruned_at = now()
)
SELECT count(*) AS "deleted!", max(completed_at) AS next FROM gone
