-- What is disabled, and what has failed for longer than $1 seconds, but for accounts ($2): these have a
-- check of their own.
SELECT e.name || ' (' || e.channel || ')' AS "name!", true AS "is_disabled!",
       coalesce(e.disabled_reason, 'no reason recorded') AS "why!"
  FROM notification_endpoints e
 WHERE NOT e.enabled
UNION ALL
SELECT t.target, true, t.disabled_reason
  FROM notification_delivery_targets t
 WHERE t.disabled_reason IS NOT NULL AND t.target NOT LIKE 'endpoint:%'
UNION ALL
SELECT coalesce(e.name || ' (' || e.channel || ')', t.target), false, coalesce(t.last_error, 'no reason recorded')
  FROM notification_delivery_targets t
  LEFT JOIN notification_endpoints e ON t.target = 'endpoint:' || e.id
 WHERE t.failing_since < now() - make_interval(secs => $1) AND t.disabled_reason IS NULL
   AND e.enabled IS NOT FALSE AND t.target <> ALL ($2)
 ORDER BY 1
