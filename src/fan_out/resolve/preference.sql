-- Part of resolve: the preference row that decides, per candidate and channel.
-- The rows of all persons, numbered from the most particular one to the least; of two equal rows the
-- more cautious one comes first.
stored_preference AS MATERIALIZED (
    SELECT u.*,
           row_number() OVER (
               ORDER BY array_position('{thread,project,global}', u.scope_type),
                        u.event_type = '*',
                        (u.event_type IN (SELECT event_alias FROM plan)) IS TRUE,
                        u.channel = '*',
                        array_position('{muted,digest,immediate}', u.status)) AS preference_no
      FROM person
     CROSS JOIN LATERAL (
           SELECT x.user_id, x.scope_type::text, x.scope_id, x.event_type::text, x.channel::text, x.status::text
             FROM user_notification_preferences x
            WHERE x.user_id = person.user_id
              AND x.status IN ('muted', 'digest', 'immediate') OFFSET 0) AS u
),
preference AS MATERIALIZED (
    SELECT c.plan_no, c.user_id,
           min(u.preference_no) FILTER (WHERE u.channel IN ('in_app', '*')) AS in_app_no,
           min(u.preference_no) FILTER (WHERE u.channel IN ('email', '*')) AS email_no
      FROM candidate c
      JOIN plan p USING (plan_no)
      JOIN stored_preference u
        ON u.user_id = c.user_id
       AND u.event_type IN (p.event_type, p.event_alias, '*')
       AND (u.scope_type = 'global'
            OR u.scope_type = 'project' AND u.scope_id = p.scope_project_id
            OR u.scope_type = 'thread' AND u.scope_id = p.scope_thread_id)
     GROUP BY c.plan_no, c.user_id
),
