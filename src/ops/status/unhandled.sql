-- Events that wait for a binary that knows their type. $1: the types that are
-- handled or ignored.
SELECT unhandled_type AS "event_type!", count(*) AS "events!",
       greatest(max(extract(epoch FROM now() - greatest(least(coalesce(occurred_at, created_at), now()), '1970-01-01'))), 0)::float8 AS "oldest_seconds!",
       greatest(min(extract(epoch FROM next_attempt_at - now())), 0)::float8 AS "expires_seconds!"
  FROM notification_processing
 WHERE unhandled_type IS NOT NULL AND unhandled_type <> ALL ($1)
   AND processing_status = 'pending' AND next_attempt_at > now()
 GROUP BY unhandled_type
 ORDER BY 2 DESC, 1
