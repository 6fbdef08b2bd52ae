-- Follows resolve.sql and writes nothing: each decision, its preference rows, and the unread
-- notification that a coalescing one would be merged into; explained ($33), with the rows that exist.
-- $34: one person only; $35: at most this many. LATERAL with LIMIT, because an older job may have
-- written an event's row for a person twice.
SELECT d.plan_no, d.user_id, d.in_app, d.email, in_app.status AS in_app_status, email.status AS email_status,
       in_app.scope_type || ' / ' || in_app.event_type || ' / ' || in_app.channel || ' = ' || in_app.status
           AS in_app_rule,
       email.scope_type || ' / ' || email.event_type || ' / ' || email.channel || ' = ' || email.status
           AS email_rule,
       unread.id::text AS unread_id, unread.coalesce_count AS unread_count, person.full_name,
       shown.id::text AS notification_id, shown.read_at IS NOT NULL AS is_read,
       shown.coalesce_count AS notification_count,
       mail.id::text AS mail_id, mail.status::text AS mail_status, mail.delivery_type::text AS mail_delivery
  FROM decision d
  JOIN plan p USING (plan_no)
  LEFT JOIN stored_preference in_app ON in_app.preference_no = d.in_app_no
  LEFT JOIN stored_preference email ON email.preference_no = d.email_no
  LEFT JOIN LATERAL (
       SELECT n.id, n.coalesce_count FROM notifications n
        WHERE n.user_id = d.user_id AND n.coalesce_key = p.coalesce_key AND n.read_at IS NULL
       OFFSET 0) AS unread ON d.in_app = 'deliver'
  LEFT JOIN LATERAL (
       SELECT full_name FROM profiles WHERE id = d.user_id LIMIT 1) AS person ON $33
  LEFT JOIN LATERAL (
       SELECT n.id, n.read_at, n.coalesce_count
         FROM (SELECT * FROM notifications x WHERE x.event_id = d.event_id OFFSET 0) AS n
        WHERE n.user_id = d.user_id
        ORDER BY n.id LIMIT 1) AS shown ON $33 AND p.in_app
  LEFT JOIN LATERAL (
       SELECT m.id, m.status, m.delivery_type FROM pending_emails m
        WHERE m.event_id = d.event_id AND m.user_id = d.user_id
        ORDER BY m.id LIMIT 1) AS mail ON $33 AND p.email IS NOT NULL
 WHERE $34::uuid IS NULL OR d.user_id = $34
 ORDER BY d.plan_no, d.user_id
 LIMIT $35
