-- Seconds until the next delivery is due. $1 targets that this process cannot send to.
WITH RECURSIVE target AS (
    -- From one target to the next by the index of what is due.
    SELECT min(target) AS name FROM notification_deliveries WHERE status = 'pending'
     UNION ALL
    SELECT (SELECT min(target) FROM notification_deliveries WHERE status = 'pending' AND target > name)
      FROM target
     WHERE name IS NOT NULL
)
SELECT extract(epoch FROM min(greatest(first.next_attempt_at, t.paused_until)) - now())::float8 AS seconds
  FROM target
 CROSS JOIN LATERAL (
       SELECT next_attempt_at FROM notification_deliveries
        WHERE status = 'pending' AND notification_deliveries.target = target.name
        ORDER BY next_attempt_at, id LIMIT 1) AS first
  LEFT JOIN notification_delivery_targets t ON t.target = target.name
 WHERE target.name <> ALL ($1)
