-- Whether a daemon sleeps and wants to be woken: a sequence, because it is read without a lock and
-- changed outside of transactions. A multiple of 1024 means that one sleeps; the first transaction that
-- enqueues events then takes the next value and notifies, the others find that it was taken.

CREATE SEQUENCE IF NOT EXISTS notification_wake_seq;
COMMENT ON SEQUENCE notification_wake_seq IS 'A multiple of 1024 while notify-fan-out serve sleeps and wants a NOTIFY.';

-- As in 0005: nobody's on the web.
DO $$
DECLARE
    client text;
BEGIN
    IF (SELECT count(*) = 2 FROM pg_roles WHERE rolname IN ('authenticated', 'service_role')) THEN
        FOR client IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON SEQUENCE notification_wake_seq FROM %I', client);
        END LOOP;
    END IF;
END
$$;
