-- Mails that wait to be sent.
SELECT count(*) FILTER (WHERE delivery_type = 'immediate') AS "immediate!",
       count(*) FILTER (WHERE delivery_type = 'aggregated') AS "aggregated!",
       greatest(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_seconds
  FROM pending_emails
 WHERE status = 'pending'
