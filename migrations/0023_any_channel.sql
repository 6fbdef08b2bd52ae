-- Which channels there are is the program's to know: the tables hold their names to a form alone, so
-- that a new channel needs no migration. Rows met the narrower check, and are not read again for this
-- one (NOT VALID), so that the lock is held for a moment only.

ALTER TABLE notification_endpoints
    DROP CONSTRAINT IF EXISTS notification_endpoints_channel_check,
    DROP CONSTRAINT IF EXISTS notification_endpoints_channel_form,
    ADD CONSTRAINT notification_endpoints_channel_form CHECK (channel ~ '^[a-z][a-z0-9_]{0,39}$') NOT VALID;

ALTER TABLE notification_deliveries
    DROP CONSTRAINT IF EXISTS notification_deliveries_channel_check,
    DROP CONSTRAINT IF EXISTS notification_deliveries_channel_form,
    ADD CONSTRAINT notification_deliveries_channel_form CHECK (channel ~ '^[a-z][a-z0-9_]{0,39}$') NOT VALID;
