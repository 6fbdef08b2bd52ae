-- Part of resolve: the preference row that decides, per candidate and channel.
stored_preference AS MATERIALIZED (
    SELECT person.user_id, u.scope_type::text, u.scope_id, u.event_type::text, u.channel::text, u.status::text
      FROM person
     CROSS JOIN LATERAL (
           SELECT * FROM user_notification_preferences
            WHERE user_notification_preferences.user_id = person.user_id
              AND status IN ('muted', 'digest', 'immediate') OFFSET 0) AS u
),
-- The row that decides, per person and channel: the most particular one. Of two equal rows the more
-- cautious one.
preference AS MATERIALIZED (
    SELECT DISTINCT ON (c.plan_no, c.user_id, decided.channel)
           c.plan_no, c.user_id, decided.channel AS decides, u.scope_type, u.event_type, u.channel, u.status
      FROM candidate c
      JOIN plan p USING (plan_no)
      JOIN stored_preference u
        ON u.user_id = c.user_id
       AND u.event_type IN (p.event_type, p.event_alias, '*')
       AND (u.scope_type = 'global'
            OR u.scope_type = 'project' AND u.scope_id = p.scope_project_id
            OR u.scope_type = 'thread' AND u.scope_id = p.scope_thread_id)
      JOIN unnest('{in_app,email}'::text[]) AS decided (channel) ON u.channel IN (decided.channel, '*')
     CROSS JOIN LATERAL (SELECT
               array_position('{thread,project,global}', u.scope_type) AS scope,
               CASE u.event_type WHEN p.event_type THEN 1 WHEN '*' THEN 3 ELSE 2 END AS event_type,
               CASE u.channel WHEN '*' THEN 2 ELSE 1 END AS channel,
               array_position('{muted,digest,immediate}', u.status) AS status) AS rank
     ORDER BY c.plan_no, c.user_id, decided.channel, rank.scope, rank.event_type, rank.channel, rank.status
),
