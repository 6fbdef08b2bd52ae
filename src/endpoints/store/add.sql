-- Adds an endpoint. No row: its organisation or project is not there. False: its name is taken.
WITH scope AS (
    SELECT 1 AS known
     WHERE CASE $3::text
               WHEN 'organisation' THEN EXISTS (SELECT FROM orgs WHERE id = $4::uuid)
               WHEN 'project' THEN EXISTS (SELECT FROM projects WHERE id = $4::uuid)
               ELSE true
           END
), added AS (
    INSERT INTO notification_endpoints (id, name, scope, scope_id, channel, target, settings, event_types)
    SELECT $1::uuid, $2::text, $3::text, $4::uuid, $5::text, $6::text, $7::text, $8::text[] FROM scope
    ON CONFLICT (name) DO NOTHING
    RETURNING id
)
SELECT EXISTS (SELECT FROM added) FROM scope
