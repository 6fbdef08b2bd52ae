-- Enables a route of the environment ($1), and forgets for how long it had been failing: whether it was
-- disabled, and true.
WITH enabled AS (
    UPDATE notification_delivery_targets
       SET paused_until = NULL, failing_since = NULL, failing_days = 0, failures = 0, throttled = 0,
           throttled_until = NULL, disabled_reason = NULL, disabled_at = NULL
     -- By the channel alone, all its routes are disabled.
     WHERE target IN ($1::text, 'env:' || split_part($1::text, ':', 2)) AND disabled_at IS NOT NULL
    RETURNING target
)
SELECT EXISTS (SELECT FROM enabled) AS changed, true AS is_known, 0::bigint AS cancelled_count
