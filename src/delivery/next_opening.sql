-- Seconds until the first paused target with due deliveries opens again. $1 targets that this process
-- cannot send to.
SELECT extract(epoch FROM min(t.paused_until) - now())::float8 AS "seconds"
  FROM notification_delivery_targets t
 WHERE t.paused_until > now() AND t.target <> ALL ($1)
   -- A look-up per target, not a join.
   AND (SELECT d.id FROM notification_deliveries d
         WHERE d.status = 'pending' AND d.target = t.target AND d.next_attempt_at <= now()
         LIMIT 1) IS NOT NULL
