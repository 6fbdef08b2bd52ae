-- Events that are claimed, from the partial index that holds only those. $1: seconds after which a claim is
-- stuck.
SELECT count(*) AS "count!", count(*) FILTER (WHERE age > $1) AS "stuck_count!",
       max(age) FILTER (WHERE age > $1) AS oldest_stuck_age_seconds, $1 AS "stuck_after_seconds!"
  FROM (SELECT extract(epoch FROM now() - coalesce(claimed_at, created_at))::float8
          FROM notification_processing
         WHERE processing_status = 'processing') AS row (age)
