-- Events that no trigger enqueued, among the next $1 above the mark. The head of the statement that
-- enqueues them and of the one that only counts; what follows selects from `missing`.
WITH mark AS MATERIALIZED (
    SELECT coalesce(anew.low, swept_to) AS swept_to, coalesce(anew.low, seen_to) AS seen_to, seen_at,
           anew.low IS NOT NULL AS is_anew
      FROM notification_sweep
     CROSS JOIN LATERAL (
           -- The newest events were deleted, or identifiers began anew: then those up to the mark may be
           -- younger than it.
           SELECT CASE WHEN swept_to > (SELECT max(id) FROM domain_events)
                         OR (SELECT occurred_at FROM domain_events WHERE id <= swept_to
                              ORDER BY id DESC LIMIT 1) > seen_at
                  THEN coalesce((SELECT id FROM domain_events ORDER BY id DESC OFFSET $1 / 2 LIMIT 1),
                                -9223372036854775808) END AS low
           OFFSET 0) AS anew
     WHERE is_only
),
page AS MATERIALIZED (
    SELECT e.id
      FROM mark
     CROSS JOIN LATERAL (
           SELECT id::bigint AS id FROM domain_events x
            WHERE x.id > mark.swept_to ORDER BY x.id LIMIT $1) AS e
),
-- Both ranges are read by their keys, and only they, whatever the planner thinks of the tables.
missing AS MATERIALIZED (
    SELECT e.*
      FROM (SELECT id FROM page
            EXCEPT
            SELECT event_id FROM notification_processing
             WHERE event_id > (SELECT swept_to FROM mark) AND event_id <= (SELECT max(id) FROM page)) AS m
     CROSS JOIN LATERAL (
           SELECT x.id::bigint AS id, x.occurred_at,
                  CASE WHEN pg_typeof(x.thread_id) = 'uuid'::regtype THEN x.thread_id::text::uuid END AS thread_id
             FROM domain_events x WHERE x.id = m.id OFFSET 0) AS e
     WHERE NOT EXISTS (SELECT FROM notification_pruned r
                        WHERE r.event_ids @> e.id AND (e.occurred_at <= r.pruned_at) IS NOT FALSE)
)
