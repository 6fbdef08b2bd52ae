-- Remembers what was learned of targets. A column each: $1 target, $2 failures, $3 the last
-- reason, $4 seconds that it asked to be left alone. $5 failures on end after which a target is left
-- alone for $6 seconds; $7 seconds of failures on end after which it is given up.
WITH learned AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::float8[]) AS l (target, failures, error, pause)
),
noted AS (
    INSERT INTO notification_delivery_targets AS t
        (target, paused_until, failing_since, failed_at, failures, last_error)
    SELECT target, now() + make_interval(secs => pause), failed.at, failed.at, failures, error
      FROM learned
     CROSS JOIN LATERAL (SELECT CASE WHEN failures > 0 THEN now() END) AS failed (at)
     ORDER BY target
    ON CONFLICT (target) DO UPDATE
       SET failures = t.failures + excluded.failures,
           -- Two failures with nothing tried in between for a day are not one of so long.
           failing_since = CASE WHEN t.failed_at < now() - interval '1 day' THEN excluded.failing_since
                                ELSE coalesce(t.failing_since, excluded.failing_since) END,
           failed_at = coalesce(excluded.failed_at, t.failed_at),
           last_error = coalesce(excluded.last_error, t.last_error),
           paused_until = greatest(t.paused_until, excluded.paused_until,
               CASE WHEN excluded.failures > 0 AND t.failures + excluded.failures >= $5
                    THEN now() + make_interval(secs => $6) END)
    RETURNING target, failing_since
)
-- Only what somebody set up for one receiver; mails and text messages have no other way.
SELECT target AS "target!", format('failing since %s: %s',
           to_char(failing_since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), error) AS "reason!"
  FROM noted
  JOIN learned USING (target)
 WHERE (target LIKE 'endpoint:%' OR target LIKE 'env:%')
   AND failures > 0 AND failing_since <= now() - make_interval(secs => $7)
