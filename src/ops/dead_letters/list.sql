-- Those asked for, with what there is to say of whom they are for. $9: the oldest first, else the
-- newest. $10: at most this many.
SELECT m.id, m.channel, m.target, m.recipient, m.event_id, m.event_type, m.status, m.attempts AS attempts_count,
       m.reason, m.code, m.occurred_at, m.finished_at,
       greatest(extract(epoch FROM now() - coalesce(m.finished_at, m.created_at)), 0)::float8 AS age_seconds,
       coalesce(e.name || coalesce(' (' || e.target || ')', ''), m.recipient) AS "to",
       CASE WHEN e.name IS NULL THEN p.email::text END AS address,
       count(*) OVER () AS matching_count
  FROM matching m
  LEFT JOIN notification_endpoints e ON e.id = m.endpoint_id
  LEFT JOIN profiles p ON p.id = m.user_id
 ORDER BY CASE WHEN $9::boolean THEN coalesce(m.finished_at, m.created_at) END,
          CASE WHEN NOT $9 THEN coalesce(m.finished_at, m.created_at) END DESC,
          CASE WHEN $9 THEN m.id ELSE -m.id END
 LIMIT $10
