-- `bench.failed` events of the last month that failed, and `bench.later` events that wait for their
-- next attempt, for up to an hour from in an hour's time on.
SET session_replication_role = replica; -- as in history.sql
WITH made AS (
    INSERT INTO domain_events (event_type, actor_id, project_id, resource_id, payload, occurred_at)
    SELECT 'document_uploaded', bench.id('user', 1), bench.id('project', 1), bench.id('resource', 1), '{}',
           now() - CASE WHEN n <= bench.size('failed') THEN interval '30 days' * (n::float8 / bench.size('failed'))
                        ELSE interval '1 minute' END
      FROM generate_series(1, bench.size('failed') + bench.size('later')) AS n
    RETURNING id, occurred_at
),
counted AS (SELECT *, row_number() OVER (ORDER BY id) AS n FROM made)
INSERT INTO notification_processing (event_id, occurred_at, created_at, next_attempt_at, claimed_at,
    completed_at, processing_status, processor_id, claim_token, retry_count, error_message)
SELECT id, occurred_at, occurred_at,
       CASE WHEN n <= bench.size('failed') THEN occurred_at
            ELSE now() + interval '1 hour' + interval '1 hour' * (n::float8 / bench.size('later')) END,
       occurred_at,
       CASE WHEN n <= bench.size('failed') THEN occurred_at END,
       CASE WHEN n <= bench.size('failed') THEN 'failed' ELSE 'pending' END,
       'host:1:00000000', 1, 1, 'database refused: SQLSTATE 40001'
  FROM counted ORDER BY id;
RESET session_replication_role;
-- As far as the runs have looked meanwhile.
UPDATE notification_sweep SET swept_to = newest.id, seen_to = newest.id, seen_at = clock_timestamp()
  FROM (SELECT max(id) AS id FROM domain_events) AS newest;
