-- From plans to decisions: one row per plan and person, with what each channel does and why.
-- The head of every statement that writes, shows or explains; what follows selects from
-- `plan` and `decision`. $1 to $28: the plans, a column each (see PlanRow). $29,
-- $30: only people after the one and up to the other, in the order of their keys. $31: whether an
-- in-app mute covers e-mail where no preference decides that.
WITH plan AS MATERIALIZED (
    -- Lists of different lengths can't be an array of arrays: theirs are text.
    SELECT p.*, user_list::uuid[] AS user_ids
      FROM unnest(
               $1::int[], $2::bigint[], $3::int[], $4::text[], $5::text[], $6::uuid[],
               $7::text[], $8::uuid[], $9::text[], $10::uuid[], $11::uuid[],
               $12::uuid[], $13::uuid[], $14::uuid[], $15::uuid[], $16::uuid[],
               $17::boolean[], $18::text[], $19::text[], $20::text[], $21::jsonb[],
               $22::text[], $23::text[], $24::text[], $25::jsonb[], $26::uuid[],
               $27::text[], $28::text[]
           ) AS p (
               plan_no, event_id, events, event_type, event_alias, actor_id, audience,
               user_id, user_list, project_id, resource_id, org_id, thread_id,
               meeting_id, scope_project_id, scope_thread_id, in_app, title, body,
               link_url, payload, coalesce_key, email, subject, body_data,
               email_project_id, email_project_name, once_key)
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
                  AND ($29::uuid IS NULL OR x.user_id > $29)
                  AND ($30::uuid IS NULL OR x.user_id <= $30) OFFSET 0) AS t
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
                  AND ($29::uuid IS NULL OR x.user_id > $29)
                  AND ($30::uuid IS NULL OR x.user_id <= $30) OFFSET 0) AS m
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
                  AND ($29::uuid IS NULL OR x.user_id > $29)
                  AND ($30::uuid IS NULL OR x.user_id <= $30) OFFSET 0) AS g
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
     WHERE ($29::uuid IS NULL OR user_id > $29) AND ($30::uuid IS NULL OR user_id <= $30)
),
-- The application's rule, asked once for all distinct pairs.
viewable AS MATERIALIZED (
    SELECT DISTINCT seen.user_id, seen.resource_id
      FROM (SELECT array_agg(user_id) AS users, array_agg(resource_id) AS resources
              FROM (SELECT DISTINCT c.user_id, p.resource_id
                      FROM candidate c
                      JOIN plan p USING (plan_no)
                     WHERE p.audience = 'project_viewers' AND p.resource_id IS NOT NULL
                       AND c.user_id IS NOT NULL AND c.user_id IS DISTINCT FROM p.actor_id) AS pair) AS pairs
     CROSS JOIN LATERAL can_view_many(pairs.users, pairs.resources) AS seen
     WHERE pairs.users IS NOT NULL
),
-- What the written user_id refers to besides profiles, where the role may read all of it: who is
-- missing there would be refused, and with them the event for everybody.
referenced AS MATERIALIZED (
    SELECT DISTINCT f.confrelid::regclass::text AS relation, key.attname AS key
      FROM pg_constraint f
      JOIN pg_attribute u ON u.attrelid = f.conrelid AND u.attname = 'user_id' AND f.conkey = ARRAY[u.attnum]
      JOIN pg_attribute key ON key.attrelid = f.confrelid AND key.attnum = f.confkey[1]
      JOIN pg_class c ON c.oid = f.confrelid
     WHERE f.conrelid IN ('notifications'::regclass, 'pending_emails'::regclass) AND f.contype = 'f'
       AND f.confrelid <> 'profiles'::regclass
       AND has_schema_privilege(c.relnamespace, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
       AND NOT row_security_active(c.oid)
),
-- Each person once, however many events of the batch concern them.
person AS MATERIALIZED (
    SELECT c.user_id,
           (SELECT true FROM profiles WHERE profiles.id = c.user_id LIMIT 1) AS is_known,
           -- Runs a query whose table is known only here. Nothing comes back of no rows.
           EXISTS (SELECT FROM referenced r
                    WHERE query_to_xml(format('SELECT 1 FROM %s WHERE %I = %L', r.relation, r.key, c.user_id),
                                       false, true, '')::text = '') AS is_refused
      FROM (SELECT DISTINCT user_id FROM candidate WHERE user_id IS NOT NULL) AS c
),
wish AS MATERIALIZED (
    SELECT person.user_id, u.scope_type, u.scope_id, u.event_type, u.channel, u.status
      FROM person
     CROSS JOIN LATERAL (
           SELECT * FROM user_notification_preferences
            WHERE user_notification_preferences.user_id = person.user_id
              AND status IN ('muted', 'digest', 'immediate') OFFSET 0) AS u
),
-- The row that decides, per person and channel, as four digits, most particular first: scope
-- (thread, project, global), event type (exact, alias, any), channel (exact, any), status
-- (muted, digest, immediate). The smallest wins, so of two equal rows the more
-- cautious one.
preference AS MATERIALIZED (
    SELECT c.plan_no, c.user_id,
           min(rule.code) FILTER (WHERE u.channel IN ('in_app', '*')) AS in_app_rule,
           min(rule.code) FILTER (WHERE u.channel IN ('email', '*')) AS email_rule
      FROM candidate c
      JOIN plan p USING (plan_no)
      JOIN wish u
        ON u.user_id = c.user_id
       AND u.event_type IN (p.event_type, p.event_alias, '*')
       AND (u.scope_type = 'global'
            OR u.scope_type = 'project' AND u.scope_id = p.scope_project_id
            OR u.scope_type = 'thread' AND u.scope_id = p.scope_thread_id)
     CROSS JOIN LATERAL (SELECT
               CASE u.scope_type WHEN 'thread' THEN 1000 WHEN 'project' THEN 2000 ELSE 3000 END
             + CASE u.event_type WHEN p.event_type THEN 100 WHEN '*' THEN 300 ELSE 200 END
             + CASE u.channel WHEN '*' THEN 20 ELSE 10 END
             + CASE u.status WHEN 'muted' THEN 1 WHEN 'digest' THEN 2 ELSE 3 END) AS rule (code)
     GROUP BY c.plan_no, c.user_id
),
-- What is there already: left by an older job, or by a plan for the same event and person.
notified AS MATERIALIZED (
    SELECT event.event_id, found.user_id
      FROM (SELECT DISTINCT event_id FROM plan WHERE in_app) AS event
     CROSS JOIN LATERAL (
               SELECT DISTINCT n.user_id FROM notifications n
                WHERE n.event_id = event.event_id
                  AND ($29::uuid IS NULL OR n.user_id > $29)
                  AND ($30::uuid IS NULL OR n.user_id <= $30) OFFSET 0) AS found
),
mailed AS MATERIALIZED (
    SELECT event.event_id, found.user_id
      FROM (SELECT DISTINCT event_id FROM plan WHERE email IS NOT NULL) AS event
     CROSS JOIN LATERAL (
               SELECT DISTINCT m.user_id FROM pending_emails m
                WHERE m.event_id = event.event_id
                  AND ($29::uuid IS NULL OR m.user_id > $29)
                  AND ($30::uuid IS NULL OR m.user_id <= $30) OFFSET 0) AS found
),
-- Of several events in one batch that notify a person only once, the first counts.
first_of_its_kind AS MATERIALIZED (
    SELECT DISTINCT ON (c.user_id, p.once_key) c.user_id, p.once_key, p.plan_no
      FROM candidate c
      JOIN plan p USING (plan_no)
     WHERE p.once_key IS NOT NULL AND (
               SELECT true FROM notification_once o
                WHERE o.user_id = c.user_id AND o.once_key = p.once_key
                  -- Deleted by the application, and not with its event: it begins anew.
                  AND NOT (o.ends_with_notification
                           AND (SELECT true FROM domain_events e
                                 WHERE e.id = o.event_id LIMIT 1) IS NOT NULL
                           AND (SELECT true FROM notifications n
                                 WHERE n.event_id = o.event_id AND n.user_id = o.user_id
                                 LIMIT 1) IS NULL)) IS NULL
     ORDER BY c.user_id, p.once_key, p.event_id, p.plan_no
),
decision AS MATERIALIZED (
    SELECT p.plan_no, p.event_id, c.user_id, preference.in_app_rule, preference.email_rule,
           CASE WHEN stop.reason IS NOT NULL THEN stop.reason
                WHEN NOT p.in_app THEN 'none'
                WHEN preference.in_app_rule % 10 = 1 THEN 'muted'
                WHEN notified.user_id IS NOT NULL THEN 'already_notified'
                ELSE 'deliver' END AS in_app,
           CASE WHEN stop.reason IS NOT NULL THEN stop.reason
                WHEN p.email IS NULL THEN 'none'
                WHEN preference.email_rule % 10 = 1 THEN 'muted'
                WHEN $31 AND preference.email_rule IS NULL
                     AND preference.in_app_rule % 10 = 1 THEN 'muted_in_app'
                WHEN mailed.user_id IS NOT NULL THEN 'already_notified'
                WHEN preference.email_rule % 10 = 2 THEN 'aggregated'
                WHEN preference.email_rule % 10 = 3 THEN 'immediate'
                ELSE p.email END AS email
      FROM candidate c
      JOIN plan p USING (plan_no)
      LEFT JOIN person ON person.user_id = c.user_id
      LEFT JOIN viewable ON viewable.user_id = c.user_id AND viewable.resource_id = p.resource_id
      LEFT JOIN preference ON preference.plan_no = c.plan_no AND preference.user_id = c.user_id
      LEFT JOIN notified ON notified.event_id = p.event_id AND notified.user_id = c.user_id
      LEFT JOIN mailed ON mailed.event_id = p.event_id AND mailed.user_id = c.user_id
      LEFT JOIN first_of_its_kind once ON once.plan_no = c.plan_no AND once.user_id = c.user_id
     CROSS JOIN LATERAL (SELECT CASE
               WHEN c.user_id = p.actor_id THEN 'actor'
               WHEN person.is_known IS NOT TRUE THEN 'unknown_person'
               WHEN person.is_refused THEN 'unknown_recipient'
               WHEN NOT c.belongs THEN 'not_a_member'
               WHEN p.audience = 'project_viewers' AND p.resource_id IS NOT NULL
                    AND viewable.user_id IS NULL THEN 'no_access'
               WHEN p.once_key IS NOT NULL AND once.plan_no IS NULL THEN 'notified_once'
            END OFFSET 0) AS stop (reason)
)
