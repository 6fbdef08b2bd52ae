-- Events that have been due for longer than $1 seconds: how many, for how long the oldest, how long
-- ago an event was last claimed or completed, and whether any ever was.
SELECT count(*), extract(epoch FROM now() - min(next_attempt_at))::float8,
       extract(epoch FROM now() - greatest(
           (SELECT max(claimed_at) FROM notification_processing WHERE processing_status = 'processing'),
           (SELECT max(completed_at) FROM notification_processing WHERE processing_status = 'completed')))::float8,
       coalesce(pg_sequence_last_value('notification_claim_token_seq') > 0, false)
  FROM notification_processing
 WHERE processing_status = 'pending' AND next_attempt_at < now() - make_interval(secs => $1)
