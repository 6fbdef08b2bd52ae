-- Follows resolve.sql and writes nothing: each decision, with the unread notification that a
-- coalescing one would be merged into.
SELECT d.plan_no, d.event_id, d.user_id, d.in_app, d.email, d.in_app_rule, d.email_rule,
       unread.coalesce_count AS unread_count
  FROM decision d
  JOIN plan p USING (plan_no)
  LEFT JOIN LATERAL (
       SELECT n.coalesce_count FROM notifications n
        WHERE n.user_id = d.user_id AND n.coalesce_key = p.coalesce_key AND n.read_at IS NULL
       OFFSET 0) AS unread ON d.in_app = 'deliver'
 ORDER BY d.event_id, d.plan_no, d.user_id
