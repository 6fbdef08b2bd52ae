-- The dead letters that are asked for: $1 identifiers, $2 event types, $3 a pattern of reason or code, $4
-- channels, $5 statuses, $6 and $7 seconds since the end, at least and at most, $8 names of targets,
-- recipients or endpoints. NULL: any. The head of each statement that lists, counts or changes them.
WITH matching AS (
    SELECT d.*
      FROM notification_deliveries d
     WHERE d.status IN ('dead', 'uncertain')
       AND ($1::bigint[] IS NULL OR d.id = ANY ($1))
       AND ($2::text[] IS NULL OR d.event_type = ANY ($2))
       AND ($3::text IS NULL OR d.reason LIKE $3 OR d.code LIKE $3)
       AND ($4::text[] IS NULL OR d.channel = ANY ($4))
       AND ($5::text[] IS NULL OR d.status = ANY ($5))
       AND ($6::float8 IS NULL OR coalesce(d.finished_at, d.created_at) < now() - make_interval(secs => $6))
       AND ($7::float8 IS NULL OR coalesce(d.finished_at, d.created_at) > now() - make_interval(secs => $7))
       AND ($8::text[] IS NULL OR d.target = ANY ($8) OR d.recipient = ANY ($8)
            OR d.user_id::text = ANY ($8)
            OR d.endpoint_id IN (SELECT e.id FROM notification_endpoints e
                                  WHERE e.name = ANY ($8) OR e.id::text = ANY ($8)))
)
