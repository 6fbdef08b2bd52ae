-- The small test world: readable, and just large enough that each rule shows in an outcome.
-- Every identifier begins with 5eed5eed-fa11-4; the three digits that follow are the kind: 001 people,
-- 002 organisations, 003 projects, 004 documents, 005 threads, 006 meetings. What is there
-- already stays as it is. Nobody else's address: example.com and example.org belong to no one.
WITH person (id, email, full_name) AS (VALUES
    ('5eed5eed-fa11-4001-8000-000000000001'::uuid, 'ada.okafor@example.com', 'Ada Okafor'),
    ('5eed5eed-fa11-4001-8000-000000000002', 'bruno.keller@example.com', 'Bruno Keller'),
    ('5eed5eed-fa11-4001-8000-000000000003', 'chiara.rossi@example.com', 'Chiara Rossi'),
    ('5eed5eed-fa11-4001-8000-000000000004', 'dev.patel@example.com', 'Dev Patel'),
    ('5eed5eed-fa11-4001-8000-000000000005', 'elif.yilmaz@example.com', 'Elif Yılmaz'),
    ('5eed5eed-fa11-4001-8000-000000000006', 'farid.haddad@example.org', 'Farid Haddad'),
    ('5eed5eed-fa11-4001-8000-000000000007', 'grace.lindqvist@example.org', 'Grace Lindqvist'),
    ('5eed5eed-fa11-4001-8000-000000000008', 'hugo.martin@example.org', 'Hugo Martín'),
    -- Without a name: messages use the address.
    ('5eed5eed-fa11-4001-8000-000000000009', 'ines.duarte@example.org', NULL)
),
org (id, name) AS (VALUES
    ('5eed5eed-fa11-4002-8000-000000000001'::uuid, 'Harbor Homes'),
    ('5eed5eed-fa11-4002-8000-000000000002', 'Northwind Lending')
),
-- Ada and Bruno own Harbor Homes; Chiara works there without owning it.
membership (org_id, user_id, role) AS (VALUES
    ('5eed5eed-fa11-4002-8000-000000000001'::uuid, '5eed5eed-fa11-4001-8000-000000000001'::uuid, 'owner'),
    ('5eed5eed-fa11-4002-8000-000000000001', '5eed5eed-fa11-4001-8000-000000000002', 'owner'),
    ('5eed5eed-fa11-4002-8000-000000000001', '5eed5eed-fa11-4001-8000-000000000003', 'member'),
    ('5eed5eed-fa11-4002-8000-000000000001', '5eed5eed-fa11-4001-8000-000000000009', 'member'),
    ('5eed5eed-fa11-4002-8000-000000000002', '5eed5eed-fa11-4001-8000-000000000007', 'owner'),
    ('5eed5eed-fa11-4002-8000-000000000002', '5eed5eed-fa11-4001-8000-000000000008', 'member')
),
project (id, name, owner_org_id) AS (VALUES
    ('5eed5eed-fa11-4003-8000-000000000001'::uuid, 'Quayside Lofts', '5eed5eed-fa11-4002-8000-000000000001'::uuid),
    ('5eed5eed-fa11-4003-8000-000000000002', 'Mill Street Refinancing', '5eed5eed-fa11-4002-8000-000000000001')
),
-- Chiara, Dev, Elif and Farid work on Quayside Lofts.
project_grant (project_id, user_id) AS (VALUES
    ('5eed5eed-fa11-4003-8000-000000000001'::uuid, '5eed5eed-fa11-4001-8000-000000000003'::uuid),
    ('5eed5eed-fa11-4003-8000-000000000001', '5eed5eed-fa11-4001-8000-000000000004'),
    ('5eed5eed-fa11-4003-8000-000000000001', '5eed5eed-fa11-4001-8000-000000000005'),
    ('5eed5eed-fa11-4003-8000-000000000001', '5eed5eed-fa11-4001-8000-000000000006')
),
document (id, org_id, project_id, name) AS (VALUES
    ('5eed5eed-fa11-4004-8000-000000000001'::uuid, '5eed5eed-fa11-4002-8000-000000000001'::uuid,
     '5eed5eed-fa11-4003-8000-000000000001'::uuid, 'Appraisal report.pdf'),
    ('5eed5eed-fa11-4004-8000-000000000002', '5eed5eed-fa11-4002-8000-000000000001',
     '5eed5eed-fa11-4003-8000-000000000001', 'Rent roll.xlsx')
),
-- Elif works on the project, but may not view the appraisal.
document_permission (resource_id, user_id, permission) AS (VALUES
    ('5eed5eed-fa11-4004-8000-000000000001'::uuid, '5eed5eed-fa11-4001-8000-000000000005'::uuid, 'none'),
    ('5eed5eed-fa11-4004-8000-000000000002', '5eed5eed-fa11-4001-8000-000000000005', 'view'),
    ('5eed5eed-fa11-4004-8000-000000000001', '5eed5eed-fa11-4001-8000-000000000004', 'edit')
),
thread (id, project_id, topic) AS (VALUES
    ('5eed5eed-fa11-4005-8000-000000000001'::uuid, '5eed5eed-fa11-4003-8000-000000000001'::uuid, 'Closing checklist')
),
participant (thread_id, user_id) AS (VALUES
    ('5eed5eed-fa11-4005-8000-000000000001'::uuid, '5eed5eed-fa11-4001-8000-000000000001'::uuid),
    ('5eed5eed-fa11-4005-8000-000000000001', '5eed5eed-fa11-4001-8000-000000000002'),
    ('5eed5eed-fa11-4005-8000-000000000001', '5eed5eed-fa11-4001-8000-000000000003'),
    ('5eed5eed-fa11-4005-8000-000000000001', '5eed5eed-fa11-4001-8000-000000000007'),
    ('5eed5eed-fa11-4005-8000-000000000001', '5eed5eed-fa11-4001-8000-000000000008')
),
meeting (id, title, start_time, project_id) AS (VALUES
    ('5eed5eed-fa11-4006-8000-000000000001'::uuid, 'Kick-off with the lender',
     date_trunc('hour', now()) + interval '1 day', '5eed5eed-fa11-4003-8000-000000000001'::uuid),
    -- Of no project: its link leads to the dashboard.
    ('5eed5eed-fa11-4006-8000-000000000002', 'Weekly check-in',
     date_trunc('hour', now()) + interval '1 hour', NULL)
),
invitation (meeting_id, user_id) AS (VALUES
    ('5eed5eed-fa11-4006-8000-000000000001'::uuid, '5eed5eed-fa11-4001-8000-000000000001'::uuid),
    ('5eed5eed-fa11-4006-8000-000000000001', '5eed5eed-fa11-4001-8000-000000000003'),
    ('5eed5eed-fa11-4006-8000-000000000001', '5eed5eed-fa11-4001-8000-000000000007'),
    ('5eed5eed-fa11-4006-8000-000000000001', '5eed5eed-fa11-4001-8000-000000000008'),
    ('5eed5eed-fa11-4006-8000-000000000002', '5eed5eed-fa11-4001-8000-000000000001'),
    ('5eed5eed-fa11-4006-8000-000000000002', '5eed5eed-fa11-4001-8000-000000000003')
),
preference (user_id, scope_type, scope_id, event_type, channel, status) AS (VALUES
    -- Bruno prefers one digest of e-mails, and no chat in the app, except for one thread.
    ('5eed5eed-fa11-4001-8000-000000000002'::uuid, 'global', NULL::uuid, '*', 'email', 'digest'),
    ('5eed5eed-fa11-4001-8000-000000000002', 'global', NULL, 'chat_message', 'in_app', 'muted'),
    ('5eed5eed-fa11-4001-8000-000000000002', 'thread', '5eed5eed-fa11-4005-8000-000000000001', '*', 'in_app', 'immediate'),
    -- Chiara wants news of documents at once.
    ('5eed5eed-fa11-4001-8000-000000000003', 'global', NULL, 'document_uploaded', 'email', 'immediate'),
    -- Dev has muted the documents of one project in the app, and keeps the mail.
    ('5eed5eed-fa11-4001-8000-000000000004', 'project', '5eed5eed-fa11-4003-8000-000000000001', 'document_uploaded', 'in_app', 'muted'),
    -- Farid reads no mail.
    ('5eed5eed-fa11-4001-8000-000000000006', 'global', NULL, '*', 'email', 'muted'),
    -- Grace does not care when meetings move.
    ('5eed5eed-fa11-4001-8000-000000000007', 'global', NULL, 'meeting_updated', '*', 'muted'),
    -- Hugo has muted a thread; and a project, which does not suppress the message that access to it was removed.
    ('5eed5eed-fa11-4001-8000-000000000008', 'thread', '5eed5eed-fa11-4005-8000-000000000001', '*', '*', 'muted'),
    ('5eed5eed-fa11-4001-8000-000000000008', 'project', '5eed5eed-fa11-4003-8000-000000000002', '*', '*', 'muted')
),
added_people AS (
    INSERT INTO profiles (id, email, full_name)
    SELECT id, email, full_name FROM person s
     WHERE NOT EXISTS (SELECT FROM profiles t WHERE t.id = s.id)
    RETURNING 1
),
added_orgs AS (
    INSERT INTO orgs (id, name)
    SELECT id, name FROM org s WHERE NOT EXISTS (SELECT FROM orgs t WHERE t.id = s.id)
    RETURNING 1
),
added_members AS (
    INSERT INTO org_members (org_id, user_id, role)
    SELECT org_id, user_id, role FROM membership s
     WHERE NOT EXISTS (SELECT FROM org_members t WHERE t.org_id = s.org_id AND t.user_id = s.user_id)
    RETURNING 1
),
added_projects AS (
    INSERT INTO projects (id, name, owner_org_id)
    SELECT id, name, owner_org_id FROM project s
     WHERE NOT EXISTS (SELECT FROM projects t WHERE t.id = s.id)
    RETURNING 1
),
added_grants AS (
    INSERT INTO project_access_grants (project_id, user_id)
    SELECT project_id, user_id FROM project_grant s
     WHERE NOT EXISTS (SELECT FROM project_access_grants t
                        WHERE t.project_id = s.project_id AND t.user_id = s.user_id)
    RETURNING 1
),
added_documents AS (
    INSERT INTO resources (id, org_id, project_id, name)
    SELECT id, org_id, project_id, name FROM document s
     WHERE NOT EXISTS (SELECT FROM resources t WHERE t.id = s.id)
    RETURNING 1
),
added_permissions AS (
    INSERT INTO permissions (resource_id, user_id, permission)
    SELECT resource_id, user_id, permission FROM document_permission s
     WHERE NOT EXISTS (SELECT FROM permissions t
                        WHERE t.resource_id = s.resource_id AND t.user_id = s.user_id)
    RETURNING 1
),
added_threads AS (
    INSERT INTO chat_threads (id, project_id, topic)
    SELECT id, project_id, topic FROM thread s
     WHERE NOT EXISTS (SELECT FROM chat_threads t WHERE t.id = s.id)
    RETURNING 1
),
added_participants AS (
    INSERT INTO chat_thread_participants (thread_id, user_id)
    SELECT thread_id, user_id FROM participant s
     WHERE NOT EXISTS (SELECT FROM chat_thread_participants t
                        WHERE t.thread_id = s.thread_id AND t.user_id = s.user_id)
    RETURNING 1
),
added_meetings AS (
    INSERT INTO meetings (id, title, start_time, project_id)
    SELECT id, title, start_time, project_id FROM meeting s
     WHERE NOT EXISTS (SELECT FROM meetings t WHERE t.id = s.id)
    RETURNING 1
),
added_invitations AS (
    INSERT INTO meeting_participants (meeting_id, user_id)
    SELECT meeting_id, user_id FROM invitation s
     WHERE NOT EXISTS (SELECT FROM meeting_participants t
                        WHERE t.meeting_id = s.meeting_id AND t.user_id = s.user_id)
    RETURNING 1
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
