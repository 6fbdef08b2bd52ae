-- The contents of e-mails to people, and why one is no longer wanted. $1 their deliveries; $2 e-mails
-- without one. $3 whether an in-app mute covers e-mail where no preference decides that.
WITH attempted AS MATERIALIZED (
    SELECT d.id AS delivery_id,
           (SELECT min(a.started_at) FROM notification_delivery_attempts a
             WHERE a.delivery_id = d.id AND a.outcome IN ('uncertain', 'lost')) AS at
      FROM unnest($1::bigint[]) AS d (id)
),
mine AS MATERIALIZED (
    SELECT id FROM pending_emails WHERE delivery_id = ANY ($1) AND status = 'processing'
    UNION ALL
    SELECT unnest($2::bigint[])
)
-- An older table may hold times beyond all bounds, and lack anything.
SELECT m.id, m.delivery_id, coalesce(m.event_type, '') AS "event_type!",
       coalesce(m.subject, '') AS "subject!",
       -- A digest needs the link alone.
       CASE WHEN m.delivery_type = 'immediate' THEN coalesce(m.body_data::text, '{}')
            ELSE jsonb_build_object('link_url', m.body_data -> 'link_url')::text END AS "body_data!",
       m.project_id, m.project_name,
       greatest(least(coalesce(m.created_at, now()), now()), '1970-01-01') AS "created_at!",
       CASE WHEN coalesce(wish.rule, CASE WHEN $3 THEN wish.in_app_rule END) % 10 = 1 THEN 'muted'
            WHEN seen.is_read THEN 'read'
            WHEN m.has_notification AND seen.is_read IS NULL THEN 'gone' END AS "unwanted?: Unwanted",
       coalesce(seen.read_at > attempted.at, false) AS "is_read_since!"
  FROM mine
  JOIN pending_emails m ON m.id = mine.id AND m.id = ANY (ARRAY(SELECT id FROM mine))
  LEFT JOIN attempted ON attempted.delivery_id = m.delivery_id
 CROSS JOIN LATERAL (SELECT CASE
           WHEN m.body_data ->> 'thread_id' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
           THEN (m.body_data ->> 'thread_id')::uuid END) AS t (thread_id)
 -- The preference that decides, by the same ranks as when the e-mail was queued.
 CROSS JOIN LATERAL (
       SELECT min(rule) FILTER (WHERE channel IN ('email', '*')) AS rule,
              min(rule) FILTER (WHERE channel IN ('in_app', '*')) AS in_app_rule
         FROM (SELECT u.channel,
                CASE u.scope_type WHEN 'thread' THEN 1000 WHEN 'project' THEN 2000 ELSE 3000 END
              + CASE u.event_type WHEN m.event_type THEN 100 ELSE 300 END
              + CASE u.channel WHEN '*' THEN 20 ELSE 10 END
              + CASE u.status WHEN 'muted' THEN 1 WHEN 'digest' THEN 2 ELSE 3 END AS rule
         FROM user_notification_preferences u
        WHERE u.user_id = m.user_id AND u.channel IN ('email', 'in_app', '*')
          AND u.status IN ('muted', 'digest', 'immediate')
          AND u.event_type IN (m.event_type, '*')
          AND (u.scope_type = 'global'
               OR u.scope_type = 'project' AND u.scope_id = m.project_id
               OR u.scope_type = 'thread' AND u.scope_id = t.thread_id)) AS rules) AS wish
 CROSS JOIN LATERAL (
       SELECT bool_and(n.read_at IS NOT NULL) AS is_read, max(n.read_at) AS read_at
         FROM notifications n
        WHERE n.event_id = m.event_id AND n.user_id = m.user_id) AS seen
 ORDER BY m.delivery_id, m.created_at, m.id
