-- Per part of the soak, by when its events were written: how many, and how long after that the
-- transaction committed that settled them. $1 the start, $2 seconds of a part.
WITH event AS (
    SELECT floor(extract(epoch FROM e.occurred_at - $1) / $2)::int AS part,
           extract(epoch FROM pg_xact_commit_timestamp(np.xmin) - e.occurred_at)::float8 * 1000 AS ms
      FROM domain_events e
      JOIN notification_processing np ON np.event_id = e.id
     WHERE np.processing_status = 'completed'
)
SELECT part, count(*) AS events, percentile_cont(ARRAY[0.5, 0.99, 1.0]) WITHIN GROUP (ORDER BY ms) AS ms
  FROM event GROUP BY part ORDER BY part
