-- A world for trials, sized by the number of events. $1: the events.
--
-- Everything follows from consecutive numbers: the same number is the same row on every machine,
-- and a larger world contains a smaller one. 20 people to an organisation, of whom the first two
-- own it; 4 projects to an organisation; 3 threads, 10 documents and 2 meetings to a project.
-- Identifiers are spread by md5, as those of an application are; load_events.sql repeats this.
WITH size AS (SELECT greatest(2, $1::bigint / 400) AS orgs),
org AS MATERIALIZED (
    SELECT n, overlay(md5('org ' || n) PLACING '5eed5eedfa1140028' FROM 1)::uuid AS id
      FROM size, generate_series(0, orgs - 1) AS n
),
person AS MATERIALIZED (
    SELECT n, n / 20 AS org_n, n % 20 AS place,
           overlay(md5('person ' || n) PLACING '5eed5eedfa1140018' FROM 1)::uuid AS id
      FROM size, generate_series(0, orgs * 20 - 1) AS n
),
project AS MATERIALIZED (
    SELECT n, n / 4 AS org_n,
           overlay(md5('project ' || n) PLACING '5eed5eedfa1140038' FROM 1)::uuid AS id
      FROM size, generate_series(0, orgs * 4 - 1) AS n
),
document AS MATERIALIZED (
    SELECT n, n / 10 AS project_n,
           overlay(md5('document ' || n) PLACING '5eed5eedfa1140048' FROM 1)::uuid AS id
      FROM size, generate_series(0, orgs * 40 - 1) AS n
),
thread AS MATERIALIZED (
    SELECT n, n / 3 AS project_n,
           overlay(md5('thread ' || n) PLACING '5eed5eedfa1140058' FROM 1)::uuid AS id
      FROM size, generate_series(0, orgs * 12 - 1) AS n
),
meeting AS MATERIALIZED (
    SELECT n, n / 2 AS project_n,
           overlay(md5('meeting ' || n) PLACING '5eed5eedfa1140068' FROM 1)::uuid AS id
      FROM size, generate_series(0, orgs * 8 - 1) AS n
),
added_people AS (
    INSERT INTO profiles (id, email, full_name)
    SELECT id, 'person.' || n || '@example.com',
           -- Every fiftieth has given no name.
           CASE WHEN n % 50 <> 49 THEN
               (ARRAY['Ada', 'Bruno', 'Chiara', 'Dev', 'Elif', 'Farid', 'Grace', 'Hugo', 'Ines', 'Jonas',
                      'Kaori', 'Liam', 'Maya', 'Noor', 'Olga', 'Pavel', 'Quinn', 'Rosa', 'Sami', 'Tess'])[1 + place]
               || ' ' ||
               (ARRAY['Okafor', 'Keller', 'Rossi', 'Patel', 'Yılmaz', 'Haddad', 'Lindqvist', 'Martín', 'Duarte',
                      'Weber', 'Sato', 'Byrne', 'Cohen'])[1 + n % 13]
           END
      FROM person s WHERE NOT EXISTS (SELECT FROM profiles t WHERE t.id = s.id)
    RETURNING 1
),
added_orgs AS (
    INSERT INTO orgs (id, name)
    SELECT id, 'Organisation ' || n FROM org s WHERE NOT EXISTS (SELECT FROM orgs t WHERE t.id = s.id)
    RETURNING 1
),
added_members AS (
    INSERT INTO org_members (org_id, user_id, role)
    SELECT org.id, p.id, CASE WHEN p.place < 2 THEN 'owner' ELSE 'member' END
      FROM person p JOIN org ON org.n = p.org_n
     WHERE NOT EXISTS (SELECT FROM org_members t WHERE t.org_id = org.id AND t.user_id = p.id)
    RETURNING 1
),
added_projects AS (
    INSERT INTO projects (id, name, owner_org_id)
    SELECT s.id, 'Project ' || s.n, org.id
      FROM project s JOIN org ON org.n = s.org_n
     WHERE NOT EXISTS (SELECT FROM projects t WHERE t.id = s.id)
    RETURNING 1
),
-- Three in four of the members.
added_grants AS (
    INSERT INTO project_access_grants (project_id, user_id)
    SELECT pr.id, p.id
      FROM project pr JOIN person p USING (org_n)
     WHERE p.place >= 2 AND (p.place + pr.n) % 4 <> 0
       AND NOT EXISTS (SELECT FROM project_access_grants t
                        WHERE t.project_id = pr.id AND t.user_id = p.id)
    RETURNING 1
),
added_documents AS (
    INSERT INTO resources (id, org_id, project_id, name)
    SELECT s.id, org.id, pr.id, 'Document ' || s.n || '.pdf'
      FROM document s JOIN project pr ON pr.n = s.project_n JOIN org ON org.n = pr.org_n
     WHERE NOT EXISTS (SELECT FROM resources t WHERE t.id = s.id)
    RETURNING 1
),
-- Each document is closed to one member, and one may edit it.
added_permissions AS (
    INSERT INTO permissions (resource_id, user_id, permission)
    SELECT d.id, p.id, one.permission
      FROM document d JOIN project pr ON pr.n = d.project_n
     CROSS JOIN LATERAL (VALUES (2 + d.n % 9, 'none'), (11 + d.n % 9, 'edit')) AS one (place, permission)
      JOIN person p ON p.n = pr.org_n * 20 + one.place
     WHERE NOT EXISTS (SELECT FROM permissions t WHERE t.resource_id = d.id AND t.user_id = p.id)
    RETURNING 1
),
added_threads AS (
    INSERT INTO chat_threads (id, project_id, topic)
    SELECT s.id, pr.id, CASE WHEN s.n % 20 <> 19 THEN 'Topic ' || s.n END
      FROM thread s JOIN project pr ON pr.n = s.project_n
     WHERE NOT EXISTS (SELECT FROM chat_threads t WHERE t.id = s.id)
    RETURNING 1
),
-- Twelve of the twenty.
added_participants AS (
    INSERT INTO chat_thread_participants (thread_id, user_id)
    SELECT t.id, p.id
      FROM thread t JOIN project pr ON pr.n = t.project_n JOIN person p USING (org_n)
     WHERE (p.place + t.n) % 5 < 3
       AND NOT EXISTS (SELECT FROM chat_thread_participants x
                        WHERE x.thread_id = t.id AND x.user_id = p.id)
    RETURNING 1
),
added_meetings AS (
    INSERT INTO meetings (id, title, start_time, project_id)
    SELECT s.id, 'Meeting ' || s.n, date_trunc('hour', now()) + make_interval(hours => 1 + (s.n % 48)::int), pr.id
      FROM meeting s JOIN project pr ON pr.n = s.project_n
     WHERE NOT EXISTS (SELECT FROM meetings t WHERE t.id = s.id)
    RETURNING 1
),
-- Five of the twenty.
added_invitations AS (
    INSERT INTO meeting_participants (meeting_id, user_id)
    SELECT m.id, p.id
      FROM meeting m JOIN project pr ON pr.n = m.project_n JOIN person p USING (org_n)
     WHERE (p.place + m.n) % 4 = 0
       AND NOT EXISTS (SELECT FROM meeting_participants t
                        WHERE t.meeting_id = m.id AND t.user_id = p.id)
    RETURNING 1
),
-- One person in four has a preference, in turn of each kind.
preference AS (
    SELECT p.id AS user_id, kind.*
      FROM person p
      JOIN project pr ON pr.n = p.org_n * 4 + p.n % 4
      JOIN thread t ON t.n = pr.n * 3
     CROSS JOIN LATERAL (SELECT * FROM (VALUES
               (0, 'global', NULL::uuid, '*', 'email', 'digest'),
               (1, 'global', NULL, 'document_uploaded', 'email', 'immediate'),
               (2, 'project', pr.id, 'document_uploaded', 'in_app', 'muted'),
               (3, 'global', NULL, '*', 'email', 'muted'),
               (4, 'thread', t.id, '*', '*', 'muted'),
               (5, 'global', NULL, 'chat_message', 'in_app', 'muted'),
               (6, 'global', NULL, 'meeting_updated', '*', 'muted')
           ) AS k (kind, scope_type, scope_id, event_type, channel, status)
            WHERE k.kind = p.n / 4 % 7) AS kind
     WHERE p.n % 4 = 3
),
added_preferences AS (
    INSERT INTO user_notification_preferences
        (user_id, scope_type, scope_id, event_type, channel, status)
    SELECT user_id, scope_type, scope_id, event_type, channel, status FROM preference s
     WHERE NOT EXISTS (SELECT FROM user_notification_preferences t
                        WHERE t.user_id = s.user_id AND t.scope_type = s.scope_type
                          AND t.scope_id IS NOT DISTINCT FROM s.scope_id
                          AND t.event_type = s.event_type AND t.channel = s.channel)
    RETURNING 1
)
SELECT 'profiles' AS "name!", (SELECT count(*) FROM added_people) AS "rows!"
UNION ALL SELECT 'orgs', (SELECT count(*) FROM added_orgs)
UNION ALL SELECT 'org_members', (SELECT count(*) FROM added_members)
UNION ALL SELECT 'projects', (SELECT count(*) FROM added_projects)
UNION ALL SELECT 'project_access_grants', (SELECT count(*) FROM added_grants)
UNION ALL SELECT 'resources', (SELECT count(*) FROM added_documents)
UNION ALL SELECT 'permissions', (SELECT count(*) FROM added_permissions)
UNION ALL SELECT 'chat_threads', (SELECT count(*) FROM added_threads)
UNION ALL SELECT 'chat_thread_participants', (SELECT count(*) FROM added_participants)
UNION ALL SELECT 'meetings', (SELECT count(*) FROM added_meetings)
UNION ALL SELECT 'meeting_participants', (SELECT count(*) FROM added_invitations)
UNION ALL SELECT 'user_notification_preferences', (SELECT count(*) FROM added_preferences)
