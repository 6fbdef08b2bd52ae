-- A mixed load over the world of load_world.sql: of ten events five are chat, two are documents,
-- and three are of the eleven other types in turn. $1: the events.
--
-- Whom and what an event is about is drawn from the md5 of its number, so it is the same each time.
WITH size AS (SELECT greatest(2, $1::bigint / 400) AS orgs),
drawn AS (
    SELECT n, CASE WHEN n % 10 < 5 THEN 'chat_message_sent'
                   WHEN n % 10 < 7 THEN 'document_uploaded'
                   ELSE (ARRAY['thread_unread_stale', 'meeting_invited', 'meeting_updated', 'meeting_reminder',
                               'resume_incomplete_nudge', 'invite_accepted', 'project_access_granted',
                               'project_access_changed', 'project_access_revoked',
                               'document_permission_granted', 'document_permission_changed'
                        ])[1 + (n / 10 * 3 + n % 10 - 7) % 11] END AS event_type,
           ('x' || substr(md5('event ' || n), 1, 8))::bit(32)::bigint AS a,
           ('x' || substr(md5('event ' || n), 9, 8))::bit(32)::bigint AS b,
           ('x' || substr(md5('event ' || n), 17, 8))::bit(32)::bigint AS c
      FROM generate_series(0, $1::bigint - 1) AS n
),
placed AS (
    SELECT n, event_type, a, b, c, project_n, project_n / 4 AS org_n,
           project_n * 3 + b % 3 AS thread_n, project_n * 10 + b % 10 AS document_n,
           project_n * 2 + b % 2 AS meeting_n
      FROM size, drawn
     CROSS JOIN LATERAL (SELECT a % (orgs * 4)) AS project (project_n)
),
-- The sender is a participant of the thread; every other actor is an owner.
cast_of AS (
    SELECT *, org_n * 20 + CASE WHEN event_type = 'chat_message_sent'
               THEN (c % 4 * 5 + (c / 4 % 3) + 5 - thread_n % 5) % 20 ELSE c % 2 END AS actor_n,
           org_n * 20 + 2 + c % 18 AS affected_n,
           -- One message in ten mentions two, who may be in the thread or not.
           n % 20 = 0 AS has_mention
      FROM placed
),
event AS (
    SELECT n, event_type, thread_n, c, has_mention,
           overlay(md5('person ' || actor_n) PLACING '5eed5eedfa1140018' FROM 1)::uuid AS actor_id,
           overlay(md5('person ' || affected_n) PLACING '5eed5eedfa1140018' FROM 1)::uuid AS affected_id,
           overlay(md5('person ' || org_n * 20 + (c + 7) % 20) PLACING '5eed5eedfa1140018' FROM 1)::uuid AS other_id,
           overlay(md5('person ' || org_n * 20 + c % 2) PLACING '5eed5eedfa1140018' FROM 1)::uuid AS owner_id,
           overlay(md5('org ' || org_n) PLACING '5eed5eedfa1140028' FROM 1)::uuid AS org_id,
           overlay(md5('project ' || project_n) PLACING '5eed5eedfa1140038' FROM 1)::uuid AS project_id,
           overlay(md5('document ' || document_n) PLACING '5eed5eedfa1140048' FROM 1)::uuid AS document_id,
           overlay(md5('thread ' || thread_n) PLACING '5eed5eedfa1140058' FROM 1)::uuid AS thread_id,
           overlay(md5('meeting ' || meeting_n) PLACING '5eed5eedfa1140068' FROM 1)::uuid AS meeting_id
      FROM cast_of
),
added AS (
    INSERT INTO domain_events
        (event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload)
    SELECT event_type,
           CASE WHEN event_type IN ('thread_unread_stale', 'meeting_reminder', 'resume_incomplete_nudge') THEN NULL
                WHEN event_type = 'invite_accepted' THEN affected_id
                ELSE actor_id END,
           CASE WHEN event_type <> 'invite_accepted' THEN project_id END,
           CASE WHEN event_type = 'invite_accepted' THEN org_id END,
           CASE WHEN event_type LIKE 'document%' THEN document_id END,
           CASE WHEN event_type IN ('chat_message_sent', 'thread_unread_stale') THEN thread_id END,
           CASE WHEN event_type LIKE 'meeting%' THEN meeting_id END,
           CASE event_type
               WHEN 'chat_message_sent' THEN
                   jsonb_build_object('preview', 'Message ' || n)
                   || CASE WHEN has_mention THEN jsonb_build_object(
                          'full_content', 'Message ' || n || ', in full.',
                          'mentioned_user_ids', jsonb_build_array(affected_id, other_id))
                      ELSE '{}' END
               WHEN 'document_uploaded' THEN jsonb_build_object('fileName', 'Upload ' || n || '.pdf')
               WHEN 'thread_unread_stale' THEN
                   jsonb_build_object('user_id', affected_id, 'unread_count', 1 + c % 9)
               WHEN 'meeting_invited' THEN jsonb_build_object('invited_user_id', affected_id)
               WHEN 'meeting_updated' THEN
                   jsonb_build_object('changes', jsonb_build_object('timeChanged', c % 2 = 0, 'participantsChanged', c % 3 = 0))
               WHEN 'meeting_reminder' THEN jsonb_build_object('user_id', affected_id, 'reminder_minutes', 15)
               -- One in four goes to somebody who owns nothing.
               WHEN 'resume_incomplete_nudge' THEN jsonb_build_object(
                   'user_id', CASE WHEN c % 4 = 0 THEN affected_id ELSE owner_id END,
                   'resume_type', CASE WHEN c % 2 = 0 THEN 'project' ELSE 'borrower' END,
                   'completion_percent', c % 100, 'nudge_tier', n / 1000 + 1)
               WHEN 'project_access_granted' THEN
                   jsonb_build_object('affected_user_id', affected_id, 'new_permission', 'view')
               WHEN 'project_access_changed' THEN jsonb_build_object('affected_user_id', affected_id,
                   'old_permission', CASE WHEN c % 3 = 0 THEN 'edit' ELSE 'view' END,
                   'new_permission', CASE WHEN c % 3 = 0 THEN 'view' ELSE 'edit' END)
               WHEN 'project_access_revoked' THEN jsonb_build_object('affected_user_id', affected_id)
               WHEN 'document_permission_granted' THEN
                   jsonb_build_object('affected_user_id', affected_id, 'new_permission', 'view')
               WHEN 'document_permission_changed' THEN jsonb_build_object('affected_user_id', affected_id,
                   'old_permission', CASE WHEN c % 3 = 0 THEN 'edit' ELSE 'view' END,
                   'new_permission', CASE WHEN c % 3 = 0 THEN 'view' ELSE 'edit' END)
           END
      FROM event
     ORDER BY n
    RETURNING id, event_type::text AS event_type
)
SELECT event_type AS "name!", count(*) AS "rows!" FROM added GROUP BY event_type ORDER BY count(*) DESC, event_type
