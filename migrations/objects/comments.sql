-- Comments only on columns that this transaction made: those of the application stay as they are.
DO $$
DECLARE
    made record;
BEGIN
    FOR made IN
        SELECT a.attrelid::regclass AS relation, a.attname AS name, c.comment
          FROM (VALUES
            ('notification_processing', 'processing_status', 'pending → processing → completed or failed; back to pending for another attempt.'),
            ('notification_processing', 'processor_id', 'Who claimed it last: host, process and start of the run.'),
            ('notification_processing', 'claimed_at', 'Start of the last claim; empty before the first.'),
            ('notification_processing', 'completed_at', 'When it ended, completed or failed.'),
            ('notification_processing', 'retry_count', 'Attempts after the first.'),
            ('notification_processing', 'error_message', 'Why the last attempt failed.'),
            ('notification_processing', 'occurred_at', 'Copy of domain_events.occurred_at.'),
            ('notification_processing', 'next_attempt_at', 'Not claimed before; the order of claims.'),
            ('notification_processing', 'claim_token', 'Fence: only the holder of the last claim may write.'),
            ('notification_processing', 'retried_at', 'When a person last asked for a retry; its age counts from then.'),
            ('notification_processing', 'unhandled_type', 'Set while no handler knows its type: it waits for a newer binary.'),
            ('notifications', 'event_id', 'The event it came from; of several merged ones, the newest.'),
            ('notifications', 'updated_at', 'When an event was last merged into it.'),
            ('notifications', 'coalesce_key', 'While unread, later events of the same key are merged into it.'),
            ('notifications', 'coalesce_count', 'How many events it stands for.'),
            ('notification_processing', 'thread_id', 'Copy of domain_events.thread_id: what waits in one thread is claimed together.'),
            ('pending_emails', 'delivery_id', 'The delivery that carries it: its own, or a digest.'),
            ('pending_emails', 'has_notification', 'Whether the person was also notified in the application. If that is read or gone, the mail is not sent.'),
            ('pending_emails', 'status_reason', 'Why it failed, or was left out of a digest.')
          ) AS c (relation, name, comment)
          JOIN pg_attribute a ON a.attrelid = to_regclass(c.relation) AND a.attname = c.name
         -- Each migration has a savepoint, which has a number of its own, above the transaction's.
         WHERE age(a.xmin) <= age(pg_current_xact_id()::xid) AND col_description(a.attrelid, a.attnum) IS NULL
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', made.relation, made.name, made.comment);
    END LOOP;
END
$$;
