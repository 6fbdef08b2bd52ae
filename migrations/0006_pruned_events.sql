-- Events whose processing row was pruned while they themselves stay. Without this mark an event
-- without a row would look as if it had never been processed, and be notified of again.

CREATE TABLE IF NOT EXISTS notification_pruned (
    event_ids int8range PRIMARY KEY CHECK (NOT isempty(event_ids)),
    completed_at timestamptz NOT NULL,
    pruned_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS notification_pruned_event_ids_idx ON notification_pruned USING gist (event_ids);
COMMENT ON TABLE notification_pruned IS 'Events that were completed and whose processing rows were pruned. To be kept as long as the events.';
COMMENT ON COLUMN notification_pruned.event_ids IS 'Each identifier in it had a completed processing row.';
COMMENT ON COLUMN notification_pruned.completed_at IS 'When the last of them was completed.';

-- As in 0005: nobody's on the web.
DO $$
DECLARE
    client text;
BEGIN
    IF (SELECT count(*) = 2 FROM pg_roles WHERE rolname IN ('authenticated', 'service_role'))
       AND NOT (SELECT relrowsecurity FROM pg_class WHERE oid = to_regclass('notification_pruned'))
    THEN
        FOR client IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON notification_pruned FROM %I', client);
        END LOOP;
    END IF;
END
$$;
