-- What the next run would meet, in the order of its claims, without taking it: what is due, what
-- it would rescue first, and what has found its handler. $1 at most this many, $2 age limit in
-- seconds, $3 the types with a handler, $4 stuck after (seconds), $5 attempts allowed; $6, $7:
-- only what comes after this place; $8 the types that are ignored, $9 the largest payload in bytes.
WITH due AS MATERIALIZED (
    (SELECT event_id, next_attempt_at, false AS is_out_of_attempts
       FROM notification_processing
      WHERE processing_status = 'pending' AND next_attempt_at <= now()
        AND ($6::timestamptz IS NULL OR (next_attempt_at, event_id) > ($6, $7::bigint))
      ORDER BY next_attempt_at, event_id
      LIMIT $1)
    UNION ALL
    SELECT event_id, next_attempt_at, coalesce(retry_count, 0) >= $5::integer - 1
           AND (claim_token IS NULL OR count(*) OVER (PARTITION BY claim_token) = 1)
      FROM notification_processing
     WHERE processing_status = 'processing'
       AND coalesce(claimed_at, created_at, '-infinity') < now() - make_interval(secs => $4)
    UNION ALL
    -- A thousand of those that wait for a handler, as the run looks at no more.
    SELECT event_id, now(), false
      FROM (SELECT * FROM notification_processing
             WHERE coalesce(unhandled_type, '') <> ''
             ORDER BY md5(event_id::text) LIMIT 1000) AS waiting
     WHERE processing_status = 'pending' AND next_attempt_at > now()
       AND (SELECT e.event_type::text FROM domain_events e
             WHERE e.id = waiting.event_id) = ANY ($3 || $8::text[])
),
page AS MATERIALIZED (
    SELECT * FROM due
     WHERE $6::timestamptz IS NULL OR (next_attempt_at, event_id) > ($6, $7::bigint)
     ORDER BY next_attempt_at, event_id
     LIMIT $1
)
SELECT due.event_id AS "event_id!", due.next_attempt_at AS "next_attempt_at!",
       coalesce(e.event_type::text, '') AS "event_type!", e.actor_id, e.project_id, e.org_id, e.resource_id,
       e.thread_id, e.meeting_id,
       CASE WHEN octet_length(e.payload_text) <= $9 THEN e.payload_text END AS payload,
       CASE WHEN (octet_length(e.payload_text) <= $9) IS NOT TRUE
            THEN coalesce(octet_length(e.payload_text), pg_column_size(e.payload)) END AS oversize,
       -- What no calendar of the client holds is taken for now.
       CASE WHEN coalesce(np.occurred_at, np.created_at) BETWEEN '0001-01-01' AND '9999-12-31'
            THEN coalesce(np.occurred_at, np.created_at) ELSE now() END AS "occurred_at!",
       due.is_out_of_attempts AS "is_out_of_attempts!",
       CASE WHEN e.id IS NULL THEN 'gone'
            WHEN e.event_type::text = ANY ($8) THEN 'ignored'
            WHEN coalesce(np.retried_at, np.occurred_at, np.created_at, now())
                 <= now() - make_interval(secs => $2) THEN 'expired'
            WHEN e.event_type::text = ANY ($3) THEN 'claimed'
            ELSE 'unhandled' END AS "disposition!: Disposition"
  FROM page AS due
 CROSS JOIN LATERAL (
       SELECT * FROM notification_processing x WHERE x.event_id = due.event_id OFFSET 0) AS np
  LEFT JOIN LATERAL (
       SELECT *, CASE WHEN pg_column_size(payload) <= $9 THEN payload::text END AS payload_text
         FROM domain_events x WHERE x.id = due.event_id OFFSET 0) AS e ON true
 ORDER BY due.next_attempt_at, due.event_id
