-- Paused targets with due deliveries, by the names that operators know. $1 targets that this process
-- cannot send to; $2 at most this many.
SELECT t.target, coalesce(e.name, t.target) AS "name!", extract(epoch FROM t.paused_until - now())::float8 AS "seconds!",
       t.last_error, due.messages AS "messages!"
  FROM notification_delivery_targets t
 CROSS JOIN LATERAL (
       SELECT count(*) AS messages FROM notification_deliveries d
        WHERE d.status = 'pending' AND d.target = t.target AND d.next_attempt_at <= now()) AS due
  LEFT JOIN LATERAL (
       SELECT name FROM notification_endpoints x
        WHERE t.target LIKE 'endpoint:%' AND x.id = substr(t.target, 10)::uuid OFFSET 0) AS e ON true
 WHERE t.paused_until > now() AND t.target <> ALL ($1) AND due.messages > 0
 ORDER BY due.messages DESC, t.target
 LIMIT $2
