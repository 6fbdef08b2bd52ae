-- The completed events `bench.after` + 1 to `bench.until` of `bench.history`, which lie over thirty
-- days. In the order of the keys and with small payloads, which nothing reads any more.
SET session_replication_role = replica; -- rows are made whole here, so no trigger or check
INSERT INTO domain_events
    (id, event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload, occurred_at)
SELECT n, e.event_type, e.actor_id, e.project_id, e.org_id, e.resource_id, e.thread_id, e.meeting_id,
       '{}', now() - interval '30 days' * (1 - (n - 1)::float8 / bench.size('history'))
  FROM generate_series(bench.size('after') / bench.size('events'),
                       (bench.size('until') - 1) / bench.size('events')) AS round,
LATERAL (SELECT round * bench.size('events') + id AS n, *
           FROM bench.events WHERE round IS NOT NULL ORDER BY id OFFSET 0) AS e
 WHERE n > bench.size('after') AND n <= bench.size('until');
INSERT INTO notification_processing (event_id, thread_id, occurred_at, created_at, next_attempt_at,
    claimed_at, completed_at, processing_status, processor_id, claim_token)
SELECT id, thread_id, occurred_at, occurred_at, occurred_at, occurred_at, occurred_at, 'completed',
       'host:1:00000000', 1
  FROM domain_events WHERE id > bench.size('after') AND id <= bench.size('until') ORDER BY id;
RESET session_replication_role;
-- As far as the runs of those days have looked.
UPDATE notification_sweep SET swept_to = bench.size('until'), seen_to = bench.size('until'), seen_at = clock_timestamp();
SELECT setval(pg_get_serial_sequence('domain_events', 'id'), bench.size('until'));
