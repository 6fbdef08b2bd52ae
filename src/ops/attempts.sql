-- The latest $2 attempts of each of the deliveries $1, in the order they were made.
SELECT latest.*
  FROM unnest($1::bigint[]) AS d (id)
 CROSS JOIN LATERAL (
       SELECT a.id, a.delivery_id, a.attempt, a.transport, a.started_at, a.duration_ms, a.outcome,
              a.status, a.code, a.error, a.answer
         FROM notification_delivery_attempts a
        WHERE a.delivery_id = d.id
        ORDER BY a.id DESC
        LIMIT $2
       ) AS latest
 ORDER BY latest.delivery_id, latest.id
