-- `bench.due` events that are due.
INSERT INTO domain_events
    (event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload)
SELECT event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload
  FROM bench.events ORDER BY id LIMIT bench.size('due')
