-- Follows resolve.sql: keeps what each event would write, for probe_each.sql, which takes no parameters.
, share AS (
    SELECT event_id, plan_no,
           array_agg(user_id ORDER BY user_id) FILTER (WHERE in_app = 'deliver') AS shown,
           array_agg(user_id ORDER BY user_id) FILTER (WHERE email = 'immediate') AS immediate,
           array_agg(user_id ORDER BY user_id) FILTER (WHERE email = 'aggregated') AS aggregated
      FROM decision
     WHERE in_app = 'deliver' OR email IN ('immediate', 'aggregated')
     GROUP BY event_id, plan_no
),
event AS (
    SELECT s.event_id,
           jsonb_agg(to_jsonb(p) - 'user_ids' - 'user_list' || to_jsonb(s) ORDER BY p.plan_no) AS plans
      FROM share s
      JOIN plan p USING (plan_no)
     GROUP BY s.event_id
)
SELECT length(set_config('notify_fan_out.probe',
                         coalesce(jsonb_agg(to_jsonb(event) ORDER BY event_id), '[]')::text, true))
  FROM event
