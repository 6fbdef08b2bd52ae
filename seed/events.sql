-- The sixteen test events, over the world of world.sql. Whom each reaches, and why not the rest:
-- notify-fan-out explain EVENT_ID.
WITH added AS (
    INSERT INTO domain_events
        (event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload)
    SELECT event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload
      FROM (VALUES
        -- Ada uploads: she does not hear of it, Bruno owns the place, Elif may not view it, Dev
        -- has muted the app, Farid the mail.
        (1, 'document_uploaded', '5eed5eed-fa11-4001-8000-000000000001'::uuid, '5eed5eed-fa11-4003-8000-000000000001'::uuid, NULL::uuid,
         '5eed5eed-fa11-4004-8000-000000000001'::uuid, NULL::uuid, NULL::uuid, '{"fileName": "Appraisal report (final).pdf"}'::jsonb),
        -- Chiara uploads: the name comes from the document, and Elif may view this one.
        (2, 'document_uploaded', '5eed5eed-fa11-4001-8000-000000000003', '5eed5eed-fa11-4003-8000-000000000001', NULL,
         '5eed5eed-fa11-4004-8000-000000000002', NULL, NULL, NULL),
        -- Hugo has muted the thread; Bruno only all the others.
        (3, 'chat_message_sent', '5eed5eed-fa11-4001-8000-000000000001', '5eed5eed-fa11-4003-8000-000000000001', NULL,
         NULL, '5eed5eed-fa11-4005-8000-000000000001', NULL, '{"preview": "Title insurance is in."}'),
        -- Grace is mentioned; so is Dev, who is not in the thread. Bruno's count rises to two.
        (4, 'chat_message_sent', '5eed5eed-fa11-4001-8000-000000000003', '5eed5eed-fa11-4003-8000-000000000001', NULL,
         NULL, '5eed5eed-fa11-4005-8000-000000000001', NULL,
         '{"full_content": "@Grace could you look over the *final* survey?", "mentioned_user_ids":
           ["5eed5eed-fa11-4001-8000-000000000007", "5eed5eed-fa11-4001-8000-000000000004"]}'),
        -- Mail only.
        (5, 'thread_unread_stale', NULL, '5eed5eed-fa11-4003-8000-000000000001', NULL,
         NULL, '5eed5eed-fa11-4005-8000-000000000001', NULL,
         '{"user_id": "5eed5eed-fa11-4001-8000-000000000003", "unread_count": 3}'),
        (6, 'meeting_invited', '5eed5eed-fa11-4001-8000-000000000001', '5eed5eed-fa11-4003-8000-000000000001', NULL,
         NULL, NULL, '5eed5eed-fa11-4006-8000-000000000001',
         jsonb_build_object('invited_user_id', '5eed5eed-fa11-4001-8000-000000000007',
             'start_time', date_trunc('hour', now()) + interval '1 day')),
        -- Chiara and Hugo hear of it; Ada moved it, Grace does not care.
        (7, 'meeting_updated', '5eed5eed-fa11-4001-8000-000000000001', '5eed5eed-fa11-4003-8000-000000000001', NULL,
         NULL, NULL, '5eed5eed-fa11-4006-8000-000000000001',
         jsonb_build_object('changes', jsonb_build_object('timeChanged', true),
             'start_time', date_trunc('hour', now()) + interval '25 hours')),
        (8, 'meeting_reminder', NULL, NULL, NULL,
         NULL, NULL, '5eed5eed-fa11-4006-8000-000000000002',
         jsonb_build_object('user_id', '5eed5eed-fa11-4001-8000-000000000003', 'reminder_minutes', 15,
             'meeting_link', 'https://meet.example.com/weekly',
             'start_time', date_trunc('hour', now()) + interval '1 hour')),
        -- Ada owns the project's organisation. A percentage of 0 is a percentage.
        (9, 'resume_incomplete_nudge', NULL, '5eed5eed-fa11-4003-8000-000000000001', NULL, NULL, NULL, NULL,
         '{"user_id": "5eed5eed-fa11-4001-8000-000000000001", "resume_type": "borrower",
           "completion_percent": 0, "nudge_tier": 1}'),
        -- Chiara does not: she is passed over.
        (10, 'resume_incomplete_nudge', NULL, '5eed5eed-fa11-4003-8000-000000000001', NULL, NULL, NULL, NULL,
         '{"user_id": "5eed5eed-fa11-4001-8000-000000000003", "resume_type": "project",
           "completion_percent": 45, "nudge_tier": 1}'),
        -- The owners hear of it: Ada by a mail of its own, Bruno in his digest.
        (11, 'invite_accepted', '5eed5eed-fa11-4001-8000-000000000009', NULL, '5eed5eed-fa11-4002-8000-000000000001',
         NULL, NULL, NULL, NULL),
        -- Farid reads it in the app only.
        (12, 'project_access_granted', '5eed5eed-fa11-4001-8000-000000000001', '5eed5eed-fa11-4003-8000-000000000001', NULL,
         NULL, NULL, NULL, '{"affected_user_id": "5eed5eed-fa11-4001-8000-000000000006", "new_permission": "view"}'),
        (13, 'project_access_changed', '5eed5eed-fa11-4001-8000-000000000001', '5eed5eed-fa11-4003-8000-000000000001', NULL,
         NULL, NULL, NULL, '{"affected_user_id": "5eed5eed-fa11-4001-8000-000000000004",
           "old_permission": "view", "new_permission": "edit"}'),
        -- Hugo has muted this project, but the loss of it concerns his global preferences only.
        (14, 'project_access_revoked', '5eed5eed-fa11-4001-8000-000000000002', '5eed5eed-fa11-4003-8000-000000000002', NULL,
         NULL, NULL, NULL, '{"affected_user_id": "5eed5eed-fa11-4001-8000-000000000008"}'),
        (15, 'document_permission_granted', '5eed5eed-fa11-4001-8000-000000000002', '5eed5eed-fa11-4003-8000-000000000001', NULL,
         '5eed5eed-fa11-4004-8000-000000000002', NULL, NULL,
         '{"affected_user_id": "5eed5eed-fa11-4001-8000-000000000005", "new_permission": "view"}'),
        (16, 'document_permission_changed', '5eed5eed-fa11-4001-8000-000000000002', '5eed5eed-fa11-4003-8000-000000000001', NULL,
         '5eed5eed-fa11-4004-8000-000000000001', NULL, NULL,
         '{"affected_user_id": "5eed5eed-fa11-4001-8000-000000000004",
           "old_permission": "view", "new_permission": "edit"}')
      ) AS event (place, event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload)
     ORDER BY place
    RETURNING id, event_type::text AS event_type
)
SELECT event_type AS "name!", count(*) AS "rows!" FROM added GROUP BY event_type ORDER BY min(id)
