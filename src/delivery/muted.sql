-- Text messages ($1, each to the recipient $2, of the event type $3) whose recipient has muted the event
-- type on all channels.
SELECT t.id AS "id!"
  FROM unnest($1::bigint[], $2::uuid[], $3::text[]) AS t (id, user_id, event_type)
 CROSS JOIN LATERAL (
       SELECT min(
                CASE u.event_type WHEN t.event_type THEN 100 ELSE 300 END
              + CASE u.status WHEN 'muted' THEN 1 WHEN 'digest' THEN 2 ELSE 3 END) AS rule
         FROM user_notification_preferences u
        WHERE u.user_id = t.user_id AND u.scope_type = 'global' AND u.channel = '*'
          AND u.status IN ('muted', 'digest', 'immediate')
          AND u.event_type IN (t.event_type, '*')) AS wish
 WHERE wish.rule % 10 = 1
