-- Events that have been due for longer than $1 seconds: how many, for how long the oldest, and
-- how long ago an event was last claimed or completed.
SELECT count(*), extract(epoch FROM now() - min(next_attempt_at))::float8,
       extract(epoch FROM now() - greatest(
           (SELECT max(claimed_at) FROM notification_processing WHERE processing_status = 'processing'),
           (SELECT max(completed_at) FROM notification_processing WHERE processing_status = 'completed')))::float8
  FROM notification_processing
 WHERE processing_status = 'pending' AND next_attempt_at < now() - make_interval(secs => $1)
