-- E-mails that wait to be sent.
SELECT count(*) FILTER (WHERE delivery_type = 'immediate') AS "immediate_count!",
       count(*) FILTER (WHERE delivery_type = 'aggregated') AS "aggregated_count!",
       greatest(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_age_seconds
  FROM pending_emails
 WHERE status = 'pending'
