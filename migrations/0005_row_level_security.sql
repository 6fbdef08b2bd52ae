-- Where people reach the database themselves, in the manner of PostgREST and Supabase (the roles
-- authenticated and service_role exist), each sees and marks only his own. Elsewhere nothing is
-- enforced. A table that has row level security or policies already keeps them.
--
-- What is the service's own is nobody's on the web: default privileges, as Supabase has them, would
-- open each new table to all.

DO $$
DECLARE
    me text := CASE WHEN to_regprocedure('auth.uid()') IS NOT NULL
        THEN '(SELECT auth.uid())'
        ELSE $sub$(SELECT coalesce(
            nullif(current_setting('request.jwt.claim.sub', true), ''),
            nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid)$sub$ END;
    guarded boolean := (
        SELECT count(*) = 2 FROM pg_roles WHERE rolname IN ('authenticated', 'service_role'));
    target regclass;
    client text;
BEGIN
    IF NOT guarded THEN
        RETURN;
    END IF;

    FOREACH target IN ARRAY ARRAY['notifications', 'user_notification_preferences']::regclass[] LOOP
        IF (SELECT relkind NOT IN ('r', 'p') OR relrowsecurity FROM pg_class WHERE oid = target)
           OR EXISTS (SELECT FROM pg_policy WHERE polrelid = target) THEN
            CONTINUE;
        END IF;
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
        EXECUTE format('CREATE POLICY service_role_all ON %s TO service_role USING (true) WITH CHECK (true)', target);
        IF target = 'notifications'::regclass THEN
            -- Row level security does not stop TRUNCATE.
            FOR client IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
                EXECUTE format('REVOKE ALL ON %s FROM %I', target, client);
            END LOOP;
            EXECUTE format('GRANT SELECT, UPDATE (read_at) ON %s TO authenticated', target);
            EXECUTE format('CREATE POLICY own_read ON %s FOR SELECT TO authenticated USING (user_id = %s)', target, me);
            EXECUTE format('CREATE POLICY own_mark ON %s FOR UPDATE TO authenticated USING (user_id = %s) WITH CHECK (user_id = %s)', target, me, me);
        ELSE
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO authenticated', target);
            EXECUTE format('CREATE POLICY own_all ON %s TO authenticated USING (user_id = %s) WITH CHECK (user_id = %s)', target, me, me);
        END IF;
        EXECUTE format('GRANT ALL ON %s TO service_role', target);
    END LOOP;

    FOR client IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        FOREACH target IN ARRAY ARRAY['notification_processing', 'pending_emails', 'notification_once', 'notify_fan_out_migrations']::regclass[] LOOP
            IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = target)
               AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = target) THEN
                EXECUTE format('REVOKE ALL ON %s FROM %I', target, client);
            END IF;
        END LOOP;
        EXECUTE format('REVOKE ALL ON SEQUENCE notification_claim_token_seq FROM %I', client);
    END LOOP;
END
$$;
