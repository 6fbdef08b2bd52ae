-- Empty copies of the tables that the job writes, with the same columns, indexes, storage
-- parameters and foreign keys, and in unlogged tables the very rows that the job left in them.
DROP SCHEMA IF EXISTS bare CASCADE;
CREATE SCHEMA bare;
DO $$
DECLARE
    target text;
    options text;
    reference record;
BEGIN
    FOREACH target IN ARRAY ARRAY['notifications', 'pending_emails', 'notification_processing'] LOOP
        EXECUTE format('CREATE UNLOGGED TABLE bare.%I AS SELECT * FROM public.%I ORDER BY event_id, ctid',
            target || '_rows', target);
        EXECUTE format('CREATE TABLE bare.%I (LIKE public.%I INCLUDING ALL)', target, target);
        options := (SELECT array_to_string(reloptions, ', ') FROM pg_class
                     WHERE oid = format('public.%I', target)::regclass);
        IF options <> '' THEN
            EXECUTE format('ALTER TABLE bare.%I SET (%s)', target, options);
        END IF;
        FOR reference IN
            SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint
             WHERE contype = 'f' AND conrelid = format('public.%I', target)::regclass
        LOOP
            EXECUTE format('ALTER TABLE bare.%I ADD %s', target, reference.definition);
        END LOOP;
    END LOOP;
END
$$;
ANALYZE bare.notifications_rows, bare.pending_emails_rows, bare.notification_processing_rows;
