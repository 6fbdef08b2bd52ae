-- Enables an endpoint ($1), and forgets for how long it had been failing: whether it was disabled, and
-- whether it is there.
WITH enabled AS (
    UPDATE notification_endpoints
       SET enabled = true, disabled_reason = NULL, disabled_at = NULL, updated_at = now()
     WHERE name = $1::text AND NOT enabled
    RETURNING id
), forgotten AS (
    UPDATE notification_delivery_targets AS t
       SET paused_until = NULL, failing_since = NULL, failing_days = 0, failures = 0, throttled = 0,
           throttled_until = NULL, disabled_reason = NULL, disabled_at = NULL
      FROM enabled AS e
     WHERE t.target = 'endpoint:' || e.id
)
SELECT EXISTS (SELECT FROM enabled) AS changed,
       EXISTS (SELECT FROM notification_endpoints WHERE name = $1::text) AS is_known,
       0::bigint AS cancelled_count
