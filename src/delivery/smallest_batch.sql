-- The e-mails of the smallest batch that can be promoted: the oldest immediate one, or with $1 all of the
-- first recipient's digest. $2 length of a window in seconds, $3 at most this many e-mails of a digest,
-- $4 e-mails to skip.
WITH bounds AS MATERIALIZED (
    SELECT CASE WHEN $1 THEN to_timestamp(floor(extract(epoch FROM now())::float8 / $2) * $2)
                ELSE 'infinity' END AS before,
           CASE WHEN $1 THEN 'aggregated' ELSE 'immediate' END AS delivery_type
),
oldest AS MATERIALIZED (
    SELECT m.id, m.user_id
      FROM pending_emails m
     WHERE m.status = 'pending' AND m.delivery_type = (SELECT delivery_type FROM bounds)
       AND (NOT $1 OR m.user_id IS NOT NULL AND m.created_at < (SELECT before FROM bounds)
            AND (SELECT d.id FROM notification_deliveries d
                  WHERE d.user_id = m.user_id AND d.digest_window = (SELECT before FROM bounds)) IS NULL)
       AND m.id <> ALL ($4)
     ORDER BY m.created_at
     LIMIT 1
)
SELECT id AS "id!" FROM oldest WHERE NOT $1
 UNION ALL
SELECT x.id
  FROM oldest
 CROSS JOIN LATERAL (
       SELECT id FROM pending_emails x
        WHERE x.user_id = oldest.user_id AND x.status = 'pending' AND x.delivery_type <> 'immediate'
          AND x.created_at < (SELECT before FROM bounds) AND x.id <> ALL ($4)
        ORDER BY x.created_at, x.id
        LIMIT $3) AS x
 WHERE $1
