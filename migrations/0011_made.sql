-- What the migrations made in this database, and how each of it is taken out again: migrate --revert
-- does so. Tables and columns that were there before are not in it.

CREATE TABLE IF NOT EXISTS notify_fan_out_made (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The order in which it is taken out.
    step integer NOT NULL,
    what text NOT NULL UNIQUE,
    undo text NOT NULL
);
COMMENT ON TABLE notify_fan_out_made IS 'What migrate made here, and how migrate --revert takes it out.';

-- Of a database that was migrated before it was recorded, only what nobody else makes.
INSERT INTO notify_fan_out_made (step, what, undo)
SELECT 4, 'index ' || c.oid::regclass, format('DROP INDEX IF EXISTS %I.%I', c.relnamespace::regnamespace::name, c.relname)
  FROM unnest(ARRAY['notification_processing_due_idx', 'notification_processing_thread_idx',
           'notification_processing_claimed_idx', 'notification_processing_failed_idx',
           'notification_processing_completed_idx', 'notification_processing_unhandled_idx',
           'pending_emails_waiting_idx', 'pending_emails_digest_idx', 'pending_emails_delivery_idx',
           'notifications_coalesce_key', 'notifications_event_user_key', 'notifications_event_user_idx',
           'pending_emails_event_user_key', 'pending_emails_event_user_idx']) AS ours (name)
  JOIN pg_class c ON c.oid = to_regclass(ours.name)
 WHERE EXISTS (SELECT FROM notify_fan_out_migrations WHERE installed_on < now())
UNION ALL
SELECT 6, 'column ' || c.oid::regclass || '.' || ours.name,
       format('ALTER TABLE IF EXISTS %I.%I DROP COLUMN IF EXISTS %I', c.relnamespace::regnamespace::name, c.relname, ours.name)
  FROM (VALUES ('notification_processing', 'occurred_at'), ('notification_processing', 'next_attempt_at'),
           ('notification_processing', 'claim_token'), ('notification_processing', 'retried_at'),
           ('notification_processing', 'unhandled_type'), ('notification_processing', 'thread_id'),
           ('notifications', 'coalesce_key'), ('notifications', 'coalesce_count'),
           ('pending_emails', 'delivery_id'), ('pending_emails', 'has_notification'),
           ('pending_emails', 'status_reason')) AS ours (relation, name)
  JOIN pg_class c ON c.oid = to_regclass(ours.relation)
 WHERE EXISTS (SELECT FROM notify_fan_out_migrations WHERE installed_on < now())
UNION ALL
SELECT CASE c.relkind WHEN 'S' THEN 8 ELSE 7 END,
       CASE c.relkind WHEN 'S' THEN 'sequence ' ELSE 'table ' END || c.oid::regclass,
       format('DROP %s IF EXISTS %I.%I', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
              c.relnamespace::regnamespace::name, c.relname)
  FROM unnest(ARRAY['notification_once', 'notification_pruned', 'notification_endpoints',
           'notification_delivery_attempts', 'notification_deliveries', 'notification_delivery_targets',
           'notification_delivery_guards', 'notification_claim_token_seq', 'notification_lease_token_seq'])
           WITH ORDINALITY AS ours (name, no)
  JOIN pg_class c ON c.oid = to_regclass(ours.name)
 WHERE EXISTS (SELECT FROM notify_fan_out_migrations WHERE installed_on < now())
 ORDER BY 1
ON CONFLICT (what) DO NOTHING;

-- As in 0005: nobody's on the web.
DO $$
DECLARE
    client text;
BEGIN
    FOR client IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON notify_fan_out_made FROM %I', client);
        EXECUTE format('REVOKE ALL ON SEQUENCE %s FROM %I', pg_get_serial_sequence('notify_fan_out_made', 'id'), client);
    END LOOP;
END
$$;
