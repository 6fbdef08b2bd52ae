-- What is remembered of a target that limits its rate, and on how many days one has failed.

ALTER TABLE notification_delivery_targets
    ADD COLUMN IF NOT EXISTS throttled integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS throttled_until timestamptz,
    ADD COLUMN IF NOT EXISTS failing_days integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN notification_delivery_targets.throttled IS 'Consecutive times that it asked to wait (429) since something was last delivered.';
COMMENT ON COLUMN notification_delivery_targets.throttled_until IS 'Until then another 429 counts as the same time.';
COMMENT ON COLUMN notification_delivery_targets.failing_days IS 'Days (UTC) with failures since something was last delivered.';
COMMENT ON COLUMN notification_delivery_targets.failing_since IS 'The first failure since something was last delivered.';
