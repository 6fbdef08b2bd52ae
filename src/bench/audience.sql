-- One document in a project that all of the world's users may view, and the event that tells of it,
-- alone. The document's organisation is that of nobody else's.
TRUNCATE domain_events RESTART IDENTITY CASCADE;
INSERT INTO orgs (id, name) VALUES (bench.id('audience', 1), 'Audience');
INSERT INTO projects (id, name, owner_org_id)
VALUES (bench.id('audience', 2), 'Project of all', bench.id('audience', 1));
INSERT INTO resources (id, org_id, project_id, name)
VALUES (bench.id('audience', 3), bench.id('audience', 1), bench.id('audience', 2), 'For all.pdf');
INSERT INTO project_access_grants (project_id, user_id)
SELECT bench.id('audience', 2), bench.id('user', n) FROM generate_series(1, bench.size('users')) AS n;
-- In one of a hundred cases the document has a word of its own, and it is no every other time.
INSERT INTO permissions (resource_id, user_id, permission)
SELECT bench.id('audience', 3), bench.id('user', n), (ARRAY['none', 'view'])[n / 100 % 2 + 1]
  FROM generate_series(100, bench.size('users'), 100) AS n;
INSERT INTO domain_events (event_type, actor_id, project_id, org_id, resource_id, payload)
VALUES ('document_uploaded', bench.id('user', 1), bench.id('audience', 2), bench.id('audience', 1),
        bench.id('audience', 3), '{"fileName": "For all.pdf"}');
