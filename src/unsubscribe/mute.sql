-- Mutes the rows that a person ($1) has for mails of just this event type ($2; * for all).
UPDATE user_notification_preferences
   SET status = 'muted'
 WHERE user_id = $1 AND channel = 'email' AND status IS DISTINCT FROM 'muted'
   AND scope_type IN ('global', 'project', 'thread')
   AND ($2 = '*' OR event_type = $2)
