-- Part of resolve: the preference row that decides, per candidate and channel.
stored_preference AS MATERIALIZED (
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
      JOIN stored_preference u
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
