-- The backlog; each count has a partial index of just those rows.
SELECT (SELECT count(*) FROM notification_processing
         WHERE processing_status = 'pending')::float8 AS "events!",
       coalesce((SELECT extract(epoch FROM now() - min(
                   greatest(least(coalesce(occurred_at, created_at), now()), '1970-01-01')))
                   FROM notification_processing
                  WHERE processing_status = 'pending'), 0)::float8 AS "oldest_age!",
       (SELECT count(*) FROM notification_processing
         WHERE processing_status = 'failed')::float8 AS "failed!",
       extract(epoch FROM now())::float8 AS "now!"
