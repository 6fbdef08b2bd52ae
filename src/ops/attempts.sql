-- The latest $2 attempts of each of the deliveries $1, in the order they were made.
SELECT latest.delivery_id AS "delivery_id!", latest.attempt AS "attempt!", latest.transport AS "transport!",
       latest.started_at AS "started_at!", latest.duration_ms, latest.outcome AS "outcome!", latest.status,
       latest.code, latest.error, latest.answer
  FROM unnest($1::bigint[]) AS d (id)
 CROSS JOIN LATERAL (
       SELECT a.*
         FROM notification_delivery_attempts a
        WHERE a.delivery_id = d.id
        ORDER BY a.id DESC
        LIMIT $2
       ) AS latest
 ORDER BY latest.delivery_id, latest.id
