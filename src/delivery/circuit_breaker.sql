-- Updates the circuit breakers of targets, and returns those that are to be disabled. A column each:
-- $1 target, $2 failures, $3 the last reason, $4 seconds for which it asked for a pause, $5 whether it is
-- throttled. After $6 consecutive failures the breaker opens for $7 seconds; after $8 days of failures
-- the target is disabled; $9 longest pause of a throttled target in seconds, unless it asks for more.
WITH observed AS MATERIALIZED (
    SELECT l.*, CASE WHEN l.failures > 0 THEN now() END AS failed_at,
           -- Those that were in flight when it was first throttled count with the first.
           CASE WHEN l.is_throttled
                THEN coalesce(t.throttled, 0) + CASE WHEN t.throttled_until > now() THEN 0 ELSE 1 END
                ELSE 0 END AS throttled
      FROM unnest($1::text[], $2::int[], $3::text[], $4::float8[], $5::boolean[])
               AS l (target, failures, error, pause, is_throttled)
      LEFT JOIN LATERAL (
           SELECT throttled, throttled_until FROM notification_delivery_targets x
            WHERE x.target = l.target OFFSET 0) AS t ON true
),
noted AS (
    INSERT INTO notification_delivery_targets AS t
        (target, paused_until, failing_since, failed_at, failures, failing_days, last_error, throttled, throttled_until)
    SELECT target, now() + make_interval(secs => greatest(pause, throttle)), failed_at, failed_at, failures,
           CASE WHEN failures > 0 THEN 1 ELSE 0 END, error, throttled, now() + make_interval(secs => throttle)
      FROM observed
      -- One second, and twice as long each consecutive time.
     CROSS JOIN LATERAL (
           SELECT CASE WHEN throttled > 0 THEN least($9::float8, 2::float8 ^ least(throttled - 1, 20)) END) AS wait (throttle)
     ORDER BY target
    ON CONFLICT (target) DO UPDATE
       SET failures = t.failures + excluded.failures,
           failing_since = coalesce(t.failing_since, excluded.failing_since),
           failing_days = CASE WHEN t.failing_since IS NULL THEN excluded.failing_days
                               WHEN (t.failed_at AT TIME ZONE 'UTC')::date
                                    < (excluded.failed_at AT TIME ZONE 'UTC')::date THEN t.failing_days + 1
                               ELSE t.failing_days END,
           failed_at = coalesce(excluded.failed_at, t.failed_at),
           last_error = coalesce(excluded.last_error, t.last_error),
           throttled = greatest(t.throttled, excluded.throttled),
           throttled_until = coalesce(excluded.throttled_until, t.throttled_until),
           paused_until = greatest(t.paused_until, excluded.paused_until,
               CASE WHEN excluded.failures > 0 AND t.failures + excluded.failures >= $6
                    THEN now() + make_interval(secs => $7) END)
    RETURNING target, failing_since, failing_days
)
-- Only endpoints and routes: e-mails and text messages have no other transport.
SELECT target AS "target!",
       format('failing since %s: %s',
           to_char(failing_since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), error) AS "reason!"
  FROM noted
  JOIN observed USING (target)
 WHERE (target LIKE 'endpoint:%' OR target LIKE 'env:%')
   AND failures > 0 AND failing_days >= $8 AND failing_since <= now() - make_interval(days => $8)
