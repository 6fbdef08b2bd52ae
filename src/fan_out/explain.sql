-- Follows resolve.sql: each decision about one event, with the rows that exist. $32: one person only.
-- LATERAL with LIMIT, because an older job may have written an event's row for a person twice.
SELECT d.plan_no, d.user_id, d.in_app, d.email, d.in_app_rule, d.email_rule, person.full_name,
       EXISTS (SELECT FROM notification_once o
                WHERE o.user_id = d.user_id AND o.once_key = p.once_key
                  AND o.event_id = d.event_id) AS is_own_once,
       shown.id::text AS notification_id, shown.read_at IS NOT NULL AS is_read,
       shown.coalesce_count AS notification_count,
       email.id::text AS email_id, email.status::text AS email_status,
       email.delivery_type::text AS email_delivery,
       unread.id::text AS unread_id, unread.coalesce_count AS unread_count
  FROM decision d
  JOIN plan p USING (plan_no)
  LEFT JOIN LATERAL (
       SELECT full_name FROM profiles WHERE id = d.user_id LIMIT 1) AS person ON true
  LEFT JOIN LATERAL (
       SELECT n.id, n.read_at, n.coalesce_count
         FROM (SELECT * FROM notifications x WHERE x.event_id = d.event_id OFFSET 0) AS n
        WHERE n.user_id = d.user_id
        ORDER BY n.id LIMIT 1) AS shown ON p.in_app
  LEFT JOIN LATERAL (
       SELECT m.id, m.status, m.delivery_type FROM pending_emails m
        WHERE m.event_id = d.event_id AND m.user_id = d.user_id
        ORDER BY m.id LIMIT 1) AS email ON p.email IS NOT NULL
  LEFT JOIN LATERAL (
       SELECT n.id, n.coalesce_count FROM notifications n
        WHERE n.user_id = d.user_id AND n.coalesce_key = p.coalesce_key AND n.read_at IS NULL
       OFFSET 0) AS unread ON true
 WHERE $32::uuid IS NULL OR d.user_id = $32
 ORDER BY d.plan_no, d.user_id
 LIMIT $33
