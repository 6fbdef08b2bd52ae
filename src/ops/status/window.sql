-- What was completed in the last $1 seconds, and how long it took; of more than $2 completions
-- the latest $2, and then the time that these took.
SELECT completed AS "completed_count!", ignored AS "ignored_count!", completed >= $2 AS "is_capped!",
       seconds AS "seconds!", completed / seconds AS "completed_per_second!",
       percentiles[1] AS latency_p50_seconds, percentiles[2] AS latency_p95_seconds,
       percentiles[3] AS latency_p99_seconds
  FROM (SELECT count(*) AS completed, count(*) FILTER (WHERE is_ignored) AS ignored,
               CASE WHEN count(*) >= $2
                    THEN greatest(extract(epoch FROM now() - min(completed_at))::float8, 1) ELSE $1::float8 END AS seconds,
               percentile_cont(ARRAY[0.5, 0.95, 0.99]::float8[]) WITHIN GROUP (ORDER BY latency) AS percentiles
          FROM (SELECT completed_at, error_message LIKE 'ignored: %' AS is_ignored,
                       -- Unknown, for a row of an older job or a time that is none.
                       CASE WHEN occurred_at BETWEEN '1970-01-01' AND '9999-12-31'
                            THEN greatest(extract(epoch FROM completed_at - occurred_at), 0) END::float8
                           AS latency
                  FROM notification_processing
                 WHERE processing_status = 'completed' AND completed_at > now() - make_interval(secs => $1)
                 ORDER BY completed_at DESC
                 LIMIT $2) AS latest) AS summed
