-- A world of any size, the same each time: nothing in it is random. The sizes are settings,
-- `bench.users` and so on. `size` and `id` stay for events.sql.
CREATE FUNCTION bench.size(what text) RETURNS bigint LANGUAGE sql STABLE
    RETURN current_setting('bench.' || what)::bigint;
CREATE FUNCTION bench.id(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN md5(kind || n)::uuid;
-- A number from 1 to `below`, scattered.
CREATE FUNCTION bench.pick(seed bigint, below bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
    RETURN (hashint8extended(seed, 42) & 9223372036854775807) % below + 1;
-- The members of group `g` are `step` apart, so that nobody is in it twice.
CREATE FUNCTION bench.member(g bigint, step bigint, n bigint) RETURNS uuid LANGUAGE sql STABLE
    RETURN bench.id('user', (g * 13 + n * step) % bench.size('users') + 1);

INSERT INTO profiles (id, email, full_name)
SELECT bench.id('user', n), 'user' || n || '@example.com', 'User Number ' || n
  FROM generate_series(1, bench.size('users')) AS n;

INSERT INTO orgs (id, name)
SELECT bench.id('org', n), 'Organisation ' || n FROM generate_series(1, bench.size('orgs')) AS n;

-- Ten members each, two of them owners.
INSERT INTO org_members (org_id, user_id, role)
SELECT bench.id('org', o), bench.member(o, 509, m), CASE WHEN m <= 2 THEN 'owner' ELSE 'member' END
  FROM generate_series(1, bench.size('orgs')) AS o, generate_series(1, 10) AS m
ON CONFLICT DO NOTHING;

INSERT INTO projects (id, name, owner_org_id)
SELECT bench.id('project', n), 'Project ' || n, bench.id('org', n % bench.size('orgs') + 1)
  FROM generate_series(1, bench.size('projects')) AS n;

INSERT INTO project_access_grants (project_id, user_id)
SELECT bench.id('project', p), bench.member(p, 131, m)
  FROM generate_series(1, bench.size('projects')) AS p, generate_series(1, bench.size('grants')) AS m
ON CONFLICT DO NOTHING;

INSERT INTO resources (id, org_id, project_id, name)
SELECT bench.id('resource', n), p.owner_org_id, p.id, 'Document ' || n || '.pdf'
  FROM generate_series(1, bench.size('documents')) AS n
  JOIN projects p ON p.id = bench.id('project', n % bench.size('projects') + 1);

-- Two people of each project have a row of their own per document; every other time it says no.
INSERT INTO permissions (resource_id, user_id, permission)
SELECT bench.id('resource', n), bench.member(n % bench.size('projects') + 1, 131, m),
       (ARRAY['none', 'view', 'none', 'edit'])[(n + m) % 4 + 1]
  FROM generate_series(1, bench.size('documents')) AS n, generate_series(1, 2) AS m
ON CONFLICT DO NOTHING;

INSERT INTO chat_threads (id, project_id, topic)
SELECT bench.id('thread', n), bench.id('project', n % bench.size('projects') + 1), 'Topic ' || n
  FROM generate_series(1, bench.size('threads')) AS n;

INSERT INTO chat_thread_participants (thread_id, user_id)
SELECT bench.id('thread', t), bench.member(t, 977, m)
  FROM generate_series(1, bench.size('threads')) AS t, generate_series(1, bench.size('participants')) AS m
ON CONFLICT DO NOTHING;

INSERT INTO meetings (id, title, start_time, project_id)
SELECT bench.id('meeting', n), 'Meeting ' || n, timestamptz '2030-01-01 09:00Z' + n * interval '1 hour',
       bench.id('project', n % bench.size('projects') + 1)
  FROM generate_series(1, bench.size('meetings')) AS n;

INSERT INTO meeting_participants (meeting_id, user_id)
SELECT bench.id('meeting', t), bench.member(t, 811, m)
  FROM generate_series(1, bench.size('meetings')) AS t, generate_series(1, bench.size('attendees')) AS m
ON CONFLICT DO NOTHING;

-- So many per cent of the users have a global preference …
INSERT INTO user_notification_preferences (user_id, scope_type, event_type, channel, status)
SELECT bench.id('user', n), 'global', (ARRAY['*', 'document_uploaded', 'chat_message'])[n / 100 % 3 + 1],
       (ARRAY['*', 'email', 'in_app'])[n / 300 % 3 + 1],
       (ARRAY['muted', 'digest', 'immediate'])[n / 900 % 3 + 1]
  FROM generate_series(1, bench.size('users')) AS n
 WHERE n % 100 < bench.size('preferences');

-- … and a third of those another for one of their projects, and one for one of their threads.
INSERT INTO user_notification_preferences (user_id, scope_type, scope_id, event_type, channel, status)
SELECT user_id, 'project', (array_agg(project_id ORDER BY project_id))[1], '*', '*', 'immediate'
  FROM project_access_grants JOIN user_notification_preferences USING (user_id)
 WHERE scope_type = 'global' AND uuid_hash(user_id) % 3 = 0
 GROUP BY user_id;
INSERT INTO user_notification_preferences (user_id, scope_type, scope_id, event_type, channel, status)
SELECT user_id, 'thread', (array_agg(thread_id ORDER BY thread_id))[1], 'chat_message_sent', 'in_app', 'muted'
  FROM chat_thread_participants JOIN user_notification_preferences USING (user_id)
 WHERE scope_type = 'global' AND uuid_hash(user_id) % 3 = 1
 GROUP BY user_id;
