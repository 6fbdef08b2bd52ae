-- Targets that are paused, fail or are disabled, and endpoints that are disabled; those that fail for
-- longest first. Pauses of a few seconds only pace a chat. $1: at most this many.
SELECT coalesce(e.name, t.target, '') AS "name!",
       coalesce(e.channel, split_part(replace(t.target, 'env:', ''), ':', 1)) AS "channel!",
       extract(epoch FROM t.paused_until - now())::float8 AS paused_for_seconds,
       extract(epoch FROM now() - t.failing_since)::float8 AS failing_for_seconds,
       coalesce(t.failures, 0) AS "failures_count!", t.last_error AS "last_error?",
       CASE WHEN e.enabled THEN NULL
            WHEN e.id IS NOT NULL THEN coalesce(e.disabled_reason, '')
            ELSE t.disabled_reason END AS disabled_reason,
       extract(epoch FROM now() - CASE WHEN e.id IS NOT NULL THEN e.disabled_at ELSE t.disabled_at END)::float8
           AS disabled_for_seconds
  FROM (SELECT target, CASE WHEN paused_until > now() + interval '5 seconds' THEN paused_until END AS paused_until, failing_since,
               failures, last_error, disabled_reason, disabled_at
          FROM notification_delivery_targets
         WHERE paused_until > now() + interval '5 seconds' OR failing_since IS NOT NULL OR disabled_reason IS NOT NULL) AS t
  FULL JOIN (SELECT id, name, channel, enabled, disabled_reason, disabled_at, 'endpoint:' || id AS target
               FROM notification_endpoints) AS e ON e.target = t.target
 WHERE t.target IS NOT NULL OR NOT e.enabled
 ORDER BY t.failing_since NULLS LAST, coalesce(e.name, t.target)
 LIMIT $1
