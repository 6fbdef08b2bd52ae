-- The age of a delivery counts from when it was queued, or from when a person requeued it.
ALTER TABLE notification_deliveries ADD COLUMN IF NOT EXISTS requeued_at timestamptz;
COMMENT ON COLUMN notification_deliveries.requeued_at IS 'When a person requeued it, if one did: its age counts from then.';
