-- How far each run has looked for events that no trigger enqueued: rows applied by logical
-- replication, inserted directly into a partition, or written while the trigger was off.

CREATE TABLE IF NOT EXISTS notification_sweep (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    swept_to bigint NOT NULL,
    seen_to bigint NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE notification_sweep IS 'How far runs have looked for events without a processing row: one row.';
COMMENT ON COLUMN notification_sweep.swept_to IS 'Events up to it are not looked at again.';
COMMENT ON COLUMN notification_sweep.seen_to IS 'Becomes swept_to once transactions that were open then have had time to commit.';
COMMENT ON COLUMN notification_sweep.seen_at IS 'When seen_to was the newest event.';

-- What is below is back-filled by the steps that follow the migrations.
INSERT INTO notification_sweep (swept_to, seen_to)
SELECT id, id
  FROM (SELECT coalesce((SELECT id FROM domain_events ORDER BY id DESC OFFSET 10000 LIMIT 1),
                        -9223372036854775808)) AS low (id)
ON CONFLICT DO NOTHING;

-- As in 0005: nobody's on the web.
DO $$
DECLARE
    client text;
BEGIN
    IF (SELECT count(*) = 2 FROM pg_roles WHERE rolname IN ('authenticated', 'service_role'))
       AND NOT (SELECT relrowsecurity FROM pg_class WHERE oid = to_regclass('notification_sweep'))
    THEN
        FOR client IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON notification_sweep FROM %I', client);
        END LOOP;
    END IF;
END
$$;
