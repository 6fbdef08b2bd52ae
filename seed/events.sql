-- Adds events. $1: a JSON array of them, in order.
WITH added AS (
    INSERT INTO domain_events
        (event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload)
    SELECT event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload
      FROM jsonb_to_recordset($1::jsonb) AS event (place int, event_type text, actor_id uuid,
               project_id uuid, org_id uuid, resource_id uuid, thread_id uuid, meeting_id uuid, payload jsonb)
     ORDER BY place
    RETURNING id, event_type::text AS event_type
)
SELECT event_type AS "name!", count(*) AS "rows!" FROM added GROUP BY event_type ORDER BY min(id)
