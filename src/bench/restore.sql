-- Back to the moment before the job's first run: its tables are empty, every event is due, and
-- the planner knows of these tables what it knows of new ones: nothing.
TRUNCATE notifications, pending_emails, notification_once, notification_processing
    RESTART IDENTITY CASCADE;
DELETE FROM pg_statistic WHERE starelid = ANY (ARRAY['notifications', 'pending_emails',
    'notification_once', 'notification_processing']::regclass[]);
SELECT pg_stat_reset_single_table_counters(name::regclass)
  FROM unnest(ARRAY['notifications', 'pending_emails', 'notification_once', 'notification_processing'])
    AS name;
INSERT INTO notification_processing (event_id, occurred_at, thread_id)
SELECT id, occurred_at, thread_id FROM domain_events ORDER BY id;
