-- The muted rows that a person ($1) lacks for the mails of an event type ($2; * for all): the global
-- one, and one beside each row that asks for such mails and would win over it, being of a narrower
-- scope, of a type of its own, or for every channel. (The most particular row of a scope wins.)
WITH wanted AS (
    SELECT 'global' AS scope_type, NULL::uuid AS scope_id, $2::text AS event_type
    UNION
    SELECT u.scope_type, CASE WHEN u.scope_type <> 'global' THEN u.scope_id END,
           CASE WHEN $2 = '*' THEN u.event_type ELSE $2 END
      FROM user_notification_preferences u
     WHERE u.user_id = $1 AND u.channel IN ('email', '*') AND u.status <> 'muted'
       AND u.scope_type IN ('global', 'project', 'thread')
       AND ($2 = '*' OR u.event_type IN ($2, '*'))
)
INSERT INTO user_notification_preferences (user_id, scope_type, scope_id, event_type, channel, status)
SELECT $1, w.scope_type, w.scope_id, w.event_type, 'email', 'muted'
  FROM wanted w
 WHERE NOT EXISTS (
           SELECT FROM user_notification_preferences u
            WHERE u.user_id = $1 AND u.scope_type = w.scope_type AND u.event_type = w.event_type
              AND u.channel = 'email'
              AND (u.scope_type = 'global' OR u.scope_id IS NOT DISTINCT FROM w.scope_id))
ON CONFLICT DO NOTHING
