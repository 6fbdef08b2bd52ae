-- How many events are still due when a run ends early, counted up to $1.
SELECT count(*) AS "due!"
  FROM (SELECT FROM notification_processing
         WHERE processing_status = 'pending' AND next_attempt_at <= now()
         LIMIT $1) AS due
