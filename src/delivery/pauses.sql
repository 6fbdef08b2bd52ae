-- Seconds until the first target opens again for which something is due. $1 targets that nothing can
-- be sent to from here.
SELECT extract(epoch FROM min(t.paused_until) - now())::float8 AS "seconds"
  FROM notification_delivery_targets t
 WHERE t.paused_until > now() AND t.target <> ALL ($1)
   -- Asked for each, and not joined.
   AND (SELECT d.id FROM notification_deliveries d
         WHERE d.status = 'pending' AND d.target = t.target AND d.next_attempt_at <= now()
         LIMIT 1) IS NOT NULL
