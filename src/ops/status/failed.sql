-- Failures by what their errors have in common, the most frequent first. Identifiers, times, quoted
-- values after a colon, long numbers (but for SQLSTATEs) and whoever held a claim are left out as
-- '…'; the rest stands letter by letter, so that retry finds it. An expired event counts as that,
-- whatever its last error was. $1: at most this many groups.
WITH failure AS MATERIALIZED (
    SELECT coalesce(left(np.error_message, 1000), '') AS message, event_type.name AS event_type,
           count(*) AS events, max(np.event_id) AS event_id,
           max(coalesce(np.completed_at, np.created_at)) AS latest_at
      FROM notification_processing np
     -- Looked up one by one: the cost is that of the failures, however many events there are.
     CROSS JOIN LATERAL (
               SELECT e.event_type::text AS name FROM domain_events e WHERE e.id = np.event_id LIMIT 1
           ) AS event_type
     WHERE np.processing_status = 'failed'
     GROUP BY 1, 2
),
-- The expressions are the costly part: once per distinct message.
message AS MATERIALIZED (SELECT DISTINCT message FROM failure),
kind AS MATERIALIZED (
    SELECT message,
           left(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
               regexp_replace(split_part(message, '; last error:', 1),
                   '[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}', '…', 'g'),
                   '\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?', '…', 'g'),
                   'claimed by \S+,', 'claimed by …,', 'g'),
                   ': "[^"]*"', ': …', 'g'),
                   '\m(?!\d{5}:)\d{4,}\M', '…', 'g'),
                   '\s{2,}|[^\S ]', '…', 'g'), 200) AS error
      FROM message
),
grouped AS (
    SELECT kind.error, sum(failure.events)::bigint AS count,
           array_agg(DISTINCT failure.event_type) AS event_types, max(failure.event_id) AS example_event_id,
           max(failure.latest_at) AS latest_at,
           greatest(extract(epoch FROM now() - max(failure.latest_at)), 0)::float8 AS latest_age_seconds,
           row_number() OVER (ORDER BY sum(failure.events) DESC, max(failure.event_id) DESC, kind.error) AS place
      FROM failure
      JOIN kind USING (message)
     GROUP BY kind.error
)
SELECT coalesce(sum(count), 0)::bigint AS "count!", count(*) AS "kinds_count!",
       coalesce(jsonb_agg(grouped ORDER BY place) FILTER (WHERE place <= $1), '[]')
           AS "kinds!: Json<Vec<FailureKind>>"
  FROM grouped
