-- `bench.history` completed events, thirty days of them, and after them `bench.due` events that
-- are due.
TRUNCATE domain_events RESTART IDENTITY CASCADE;
SET session_replication_role = replica; -- rows are made whole here, so no trigger or check
INSERT INTO domain_events
    (event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload, occurred_at)
SELECT e.event_type, e.actor_id, e.project_id, e.org_id, e.resource_id, e.thread_id, e.meeting_id,
       e.payload, now() - interval '30 days' * (1 - (n - 1)::float8 / nullif(bench.size('history'), 0))
  FROM generate_series(1, bench.size('history')) AS n
  JOIN bench.events e ON e.id = n % bench.size('events') + 1
 ORDER BY n;
INSERT INTO notification_processing (event_id, occurred_at, created_at, next_attempt_at,
    claimed_at, completed_at, processing_status, processor_id, claim_token)
SELECT id, occurred_at, occurred_at, occurred_at, occurred_at, occurred_at, 'completed',
       'host:1:00000000', 1
  FROM domain_events ORDER BY id;
RESET session_replication_role;
INSERT INTO domain_events
    (event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload)
SELECT event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload
  FROM bench.events ORDER BY id LIMIT bench.size('due');
