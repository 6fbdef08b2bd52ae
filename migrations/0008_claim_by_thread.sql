-- The messages of a thread merge into the same notifications. Claimed together they are written
-- once per reader, and two workers are not in each other's way.

ALTER TABLE notification_processing ADD COLUMN IF NOT EXISTS thread_id uuid;
