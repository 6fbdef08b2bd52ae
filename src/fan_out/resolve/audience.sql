-- From plans to decisions: one row per plan and person, with what each channel does and why.
-- The head of every statement that writes, shows or explains; what follows selects from
-- `plan` and `decision`. $1 to $29: the plans, a column each (see Planned). $30,
-- $31: only people after the one and up to the other, in the order of their keys. $32: whether an
-- in-app mute covers e-mail where no preference decides that. $33: whether the plans are explained:
-- then what an event itself has left in notification_once is no reason.
WITH plan AS MATERIALIZED (
    -- Lists of different lengths can't be an array of arrays: theirs are text.
    SELECT p.*, user_list::uuid[] AS user_ids
      FROM unnest(
               $1::int[], $2::bigint[], $3::int[], $4::text[], $5::text[], $6::uuid[],
               $7::text[], $8::uuid[], $9::text[], $10::uuid[], $11::uuid[],
               $12::uuid[], $13::uuid[], $14::uuid[], $15::uuid[], $16::uuid[],
               $17::boolean[], $18::text[], $19::text[], $20::text[], $21::jsonb[],
               $22::text[], $23::text[], $24::text[], $25::jsonb[], $26::uuid[],
               $27::text[], $28::text[], $29::boolean[]
           ) AS p (
               plan_no, event_id, events, event_type, event_alias, actor_id, audience,
               user_id, user_list, project_id, resource_id, org_id, thread_id,
               meeting_id, scope_project_id, scope_thread_id, in_app, title, body,
               link_url, payload, coalesce_key, email, subject, body_data,
               email_project_id, email_project_name, once_key, once_ends_with_notification)
     -- One row that the planner takes for a hundred: of few plans come very many people, which are to
     -- be joined by hash and not in a nested loop.
     CROSS JOIN jsonb_array_elements('[0]') AS many
),
-- UNION, not UNION ALL: a relation of the application may be a view that repeats people. Whether
-- there is a row is asked with LIMIT 1, and OFFSET 0 keeps a look-up one by key, here and below: the
-- planner, which can't tell how many of them there are, would rather join, and so read, all rows.
candidate AS MATERIALIZED (
    SELECT * FROM (
        SELECT p.plan_no, p.user_id, true AS belongs
          FROM plan p
         WHERE p.audience = 'user'
        UNION
        SELECT p.plan_no, p.user_id, (
                   SELECT true FROM org_members m
                    WHERE m.org_id = (
                              SELECT owner_org_id FROM projects WHERE id = p.project_id LIMIT 1)
                      AND m.user_id = p.user_id AND m.role = 'owner'
                    LIMIT 1) IS NOT NULL
          FROM plan p
         WHERE p.audience = 'project_owner'
        UNION
        SELECT p.plan_no, t.user_id, true
          FROM plan p
         CROSS JOIN LATERAL (
               SELECT user_id FROM chat_thread_participants x
                WHERE x.thread_id = p.thread_id
                  AND ($30::uuid IS NULL OR x.user_id > $30)
                  AND ($31::uuid IS NULL OR x.user_id <= $31) OFFSET 0) AS t
         WHERE p.audience = 'thread' AND t.user_id <> ALL (p.user_ids)
            OR p.audience = 'thread_among' AND t.user_id = ANY (p.user_ids)
        UNION
        SELECT p.plan_no, mentioned.user_id, (
                   SELECT true FROM chat_thread_participants t
                    WHERE t.thread_id = p.thread_id AND t.user_id = mentioned.user_id
                    LIMIT 1) IS NOT NULL
          FROM plan p
         CROSS JOIN LATERAL unnest(p.user_ids) AS mentioned (user_id)
         WHERE p.audience = 'mentioned'
        UNION
        SELECT p.plan_no, m.user_id, true
          FROM plan p
         CROSS JOIN LATERAL (
               SELECT user_id FROM meeting_participants x
                WHERE x.meeting_id = p.meeting_id
                  AND ($30::uuid IS NULL OR x.user_id > $30)
                  AND ($31::uuid IS NULL OR x.user_id <= $31) OFFSET 0) AS m
         WHERE p.audience = 'meeting'
        UNION
        SELECT p.plan_no, m.user_id, true
          FROM plan p
         CROSS JOIN LATERAL (
               SELECT user_id FROM org_members x
                WHERE x.org_id = p.org_id AND role = 'owner' OFFSET 0) AS m
         WHERE p.audience = 'org_owners' AND m.user_id <> ALL (p.user_ids)
        UNION
        SELECT p.plan_no, g.user_id, true
          FROM plan p
         CROSS JOIN LATERAL (
               SELECT user_id FROM project_access_grants x
                WHERE x.project_id = p.project_id
                  AND ($30::uuid IS NULL OR x.user_id > $30)
                  AND ($31::uuid IS NULL OR x.user_id <= $31) OFFSET 0) AS g
         WHERE p.audience = 'project_viewers'
        UNION
        SELECT p.plan_no, m.user_id, true
          FROM plan p
          LEFT JOIN LATERAL (
               SELECT org_id FROM resources x WHERE x.id = p.resource_id OFFSET 0) AS r ON true
          LEFT JOIN LATERAL (
               SELECT owner_org_id FROM projects x WHERE x.id = p.project_id OFFSET 0) AS pr ON true
         CROSS JOIN LATERAL (
               SELECT user_id FROM org_members x
                WHERE x.org_id = coalesce(r.org_id, pr.owner_org_id) AND role = 'owner' OFFSET 0) AS m
         WHERE p.audience = 'project_viewers') AS everyone
     WHERE ($30::uuid IS NULL OR user_id > $30) AND ($31::uuid IS NULL OR user_id <= $31)
),
