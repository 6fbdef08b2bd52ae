-- A mixed load of `bench.events` events: half chat, a fifth documents, the rest over the other
-- types. A tenth of the messages mention somebody.
INSERT INTO domain_events
    (event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload)
SELECT kind, actor, project, org, resource, thread, meeting, payload
  FROM generate_series(1, bench.size('events')) AS n,
LATERAL (SELECT CASE
           WHEN n % 20 < 10 THEN 'chat_message_sent'
           WHEN n % 20 < 14 THEN 'document_uploaded'
           ELSE (ARRAY[
               'thread_unread_stale', 'meeting_invited', 'meeting_updated', 'meeting_reminder',
               'resume_incomplete_nudge', 'invite_accepted', 'project_access_granted',
               'project_access_changed', 'project_access_revoked', 'document_permission_granted',
               'document_permission_changed'])[(n / 20 * 6 + n % 20 - 14) % 11 + 1]
           END,
       bench.pick(n, bench.size('threads')), bench.pick(n, bench.size('documents')),
       bench.pick(n, bench.size('meetings')), bench.pick(n, bench.size('orgs')),
       bench.id('user', bench.pick(n + 1000000000, bench.size('users')))
     ) AS a (kind, t, r, m, o, somebody),
-- What belongs together: the thread's project, the document's project, and its owner.
LATERAL (SELECT CASE kind
           WHEN 'chat_message_sent' THEN t
           WHEN 'thread_unread_stale' THEN t
           WHEN 'meeting_invited' THEN m
           WHEN 'meeting_updated' THEN m
           WHEN 'meeting_reminder' THEN m
           ELSE r END % bench.size('projects') + 1
     ) AS b (p),
LATERAL (SELECT
       CASE kind WHEN 'chat_message_sent' THEN bench.member(t, 977, n % bench.size('participants') + 1)
                 WHEN 'document_uploaded' THEN bench.member(p, 131, n % bench.size('grants') + 1)
                 ELSE somebody END,
       bench.id('project', p), bench.id('org', p % bench.size('orgs') + 1),
       CASE WHEN kind LIKE 'document%' THEN bench.id('resource', r) END,
       CASE WHEN kind IN ('chat_message_sent', 'thread_unread_stale') THEN bench.id('thread', t) END,
       CASE WHEN kind LIKE 'meeting%' THEN bench.id('meeting', m) END,
       CASE kind
           WHEN 'chat_message_sent' THEN jsonb_build_object(
               'preview', 'Hello there, this is message number ' || n || ' of the day',
               'full_content', 'Hello there, this is message number ' || n || ' of the day, all of it.',
               'mentioned_user_ids', CASE WHEN n % 100 < 10
                   THEN jsonb_build_array(bench.member(t, 977, (n + 1) % bench.size('participants') + 1))
                   ELSE '[]' END)
           WHEN 'document_uploaded' THEN jsonb_build_object('fileName', 'Report ' || n || '.pdf')
           WHEN 'thread_unread_stale' THEN jsonb_build_object(
               'user_id', bench.member(t, 977, 1), 'unread_count', n % 9 + 1)
           WHEN 'meeting_invited' THEN jsonb_build_object('invited_user_id', bench.member(m, 811, 1))
           WHEN 'meeting_updated' THEN '{"changes": {"timeChanged": true}}'
           WHEN 'meeting_reminder' THEN jsonb_build_object(
               'user_id', bench.member(m, 811, 2), 'reminder_minutes', 15)
           WHEN 'resume_incomplete_nudge' THEN jsonb_build_object(
               'user_id', (SELECT user_id FROM org_members
                            WHERE org_id = bench.id('org', p % bench.size('orgs') + 1) AND role = 'owner'
                            ORDER BY user_id LIMIT 1),
               'resume_type', 'project', 'completion_percent', n % 90, 'nudge_tier', n % 5)
           WHEN 'invite_accepted' THEN jsonb_build_object('new_member_id', somebody)
           ELSE jsonb_build_object('affected_user_id', bench.member(p, 131, 3),
               'old_permission', 'view', 'new_permission', 'edit') END
     ) AS c (actor, project, org, resource, thread, meeting, payload)
 ORDER BY n
