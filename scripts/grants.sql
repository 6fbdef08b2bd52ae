-- Creates a role with exactly the privileges that the job needs, or grants them to an existing role.
-- Run it after `notify-fan-out migrate`, with psql, as the owner of the tables or a superuser, and
-- again after an update. It only adds privileges.
--
--   psql -d DATABASE -f scripts/grants.sql                   the role notify_fan_out: run, deliver, retry,
--                                                            dead-letters, status
--   psql -d DATABASE -v role=NAME -f scripts/grants.sql      another name
--   psql -d DATABASE -v prune=1 -f scripts/grants.sql        and prune: delete what is done
--   psql -d DATABASE -v prune=events -f scripts/grants.sql   and prune --events: delete events too
--   psql -d DATABASE -v unsubscribe=1 -f scripts/grants.sql  and unsubscribe: mute e-mails for people
--   psql -d DATABASE -v endpoints=1 -f scripts/grants.sql    and endpoint: add, change and remove them
--   psql -d DATABASE -v readonly=1 -f scripts/grants.sql     notify_fan_out_readonly, for dry runs,
--                                                            explain, status, dead-letters list and
--                                                            show, and doctor: reads only
\set ON_ERROR_STOP on
\if :{?readonly}
\else
  \set readonly 0
\endif
\if :{?prune}
\else
  \set prune 0
\endif
\if :{?unsubscribe}
\else
  \set unsubscribe 0
\endif
\if :{?endpoints}
\else
  \set endpoints 0
\endif
\if :{?role}
\elif :readonly
  \set role notify_fan_out_readonly
\else
  \set role notify_fan_out
\endif

BEGIN;
SET LOCAL client_min_messages = warning;
SELECT set_config('notify_fan_out.role', :'role', true),
       set_config('notify_fan_out.readonly', :'readonly', true),
       set_config('notify_fan_out.prune', :'prune', true),
       set_config('notify_fan_out.unsubscribe', :'unsubscribe', true),
       set_config('notify_fan_out.endpoints', :'endpoints', true)
\gset grants_

-- Where the tables are: on the search path, else in the one schema that has domain_events.
DO $$
DECLARE
    homes text[];
BEGIN
    IF to_regclass('domain_events') IS NULL THEN
        SELECT array_agg(quote_ident(n.nspname)) INTO homes
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relname = 'domain_events' AND c.relkind IN ('r', 'p');
        IF cardinality(homes) IS DISTINCT FROM 1 THEN
            RAISE EXCEPTION 'domain_events is not on the search path (%), and % schemas have it',
                current_setting('search_path'), coalesce(cardinality(homes), 0)
                USING HINT = 'Is this the right database? Run notify-fan-out migrate before this; or set the path: PGOPTIONS=''-c search_path=…'' psql …';
        END IF;
        PERFORM set_config('search_path', homes[1] || ', ' || current_setting('search_path'), true);
    END IF;
END
$$;

-- The role. LOGIN, but without a password nobody gets in where one is asked for.
DO $$
DECLARE
    role text := current_setting('notify_fan_out.role');
BEGIN
    IF to_regrole(quote_ident(role)) IS NULL THEN
        EXECUTE format('CREATE ROLE %I LOGIN', role);
    END IF;
EXCEPTION
    -- In another database of this server, at the same moment.
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

DO $$
DECLARE
    job text := current_setting('notify_fan_out.role');
    reads_only boolean := current_setting('notify_fan_out.readonly')::boolean;
    prune text := lower(current_setting('notify_fan_out.prune'));
    unsubscribes boolean := current_setting('notify_fan_out.unsubscribe')::boolean;
    keeps_endpoints boolean := current_setting('notify_fan_out.endpoints')::boolean;
    needed record;
    relation regclass;
    sequence regclass;
    signature text;
    rule regprocedure;
    inspection regprocedure;
    is_bypassing boolean := (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = job);
    path text := array_to_string(ARRAY(SELECT quote_ident(s) FROM unnest(current_schemas(false)) AS s), ', ');
BEGIN
    IF prune NOT IN ('0', 'off', 'false', '1', 'on', 'true', 'events') THEN
        RAISE EXCEPTION 'prune must be 1 or events, and is %', prune;
    END IF;

    FOR needed IN
        SELECT *, bool_or(privilege <> 'SELECT') OVER (PARTITION BY name) AS is_written FROM (VALUES
            -- doctor reads this list too, quoted string by quoted string: relation, privilege, columns
            -- and purpose. After * the columns that are used, where the whole relation is granted.
            -- required privileges:
            -- Of the application. Of people, what is read of them and no more.
            ('profiles', 'SELECT', 'id, email, full_name', 'reads'),
            ('orgs', 'SELECT', '*', 'reads'),
            ('org_members', 'SELECT', '*', 'reads'),
            ('projects', 'SELECT', '*', 'reads'),
            ('project_access_grants', 'SELECT', '*', 'reads'),
            ('resources', 'SELECT', '*', 'reads'),
            -- Read by can_view and can_view_many, which have the rights of their caller.
            ('permissions', 'SELECT', '*', 'reads'),
            ('chat_threads', 'SELECT', '*', 'reads'),
            ('chat_thread_participants', 'SELECT', '*', 'reads'),
            ('meetings', 'SELECT', '*', 'reads'),
            ('meeting_participants', 'SELECT', '*', 'reads'),
            ('user_notification_preferences', 'SELECT', '*', 'reads'),
            -- Of the service.
            ('notify_fan_out_migrations', 'SELECT', '*', 'reads'),
            ('domain_events', 'SELECT', '* id, event_type, actor_id, project_id, org_id, resource_id,
                thread_id, meeting_id, payload, occurred_at', 'reads'),
            ('notification_processing', 'SELECT', '* event_id, processing_status, processor_id, claimed_at,
                completed_at, retry_count, error_message, created_at, occurred_at, next_attempt_at,
                claim_token, retried_at, unhandled_type, thread_id', 'reads'),
            ('notification_processing', 'INSERT', 'event_id, occurred_at, thread_id, processing_status,
                retry_count, created_at, next_attempt_at', 'runs'),
            ('notification_processing', 'UPDATE', 'processing_status, processor_id, claimed_at, completed_at,
                retry_count, error_message, next_attempt_at, claim_token, retried_at, unhandled_type', 'runs'),
            ('notification_sweep', 'SELECT', '* is_only, swept_to, seen_to, seen_at', 'reads'),
            ('notification_sweep', 'UPDATE', 'swept_to, seen_to, seen_at', 'runs'),
            ('notifications', 'SELECT', '* id, user_id, event_id, title, body, read_at, coalesce_key,
                coalesce_count, created_at', 'reads'),
            ('notifications', 'INSERT', 'user_id, event_id, title, body, link_url, payload, coalesce_key,
                coalesce_count, created_at', 'runs'),
            ('notifications', 'UPDATE', 'event_id, created_at, title, body, link_url, payload, coalesce_count,
                updated_at', 'runs'),
            ('pending_emails', 'SELECT', '* id, user_id, event_id, event_type, delivery_type, project_id,
                project_name, subject, body_data, status, created_at, processed_at, delivery_id,
                has_notification, status_reason', 'reads'),
            ('pending_emails', 'INSERT', 'user_id, event_id, event_type, delivery_type, project_id,
                project_name, subject, body_data, has_notification', 'runs'),
            ('pending_emails', 'UPDATE', 'status, processed_at, delivery_id, status_reason', 'runs'),
            ('notification_once', 'SELECT', '* user_id, once_key, event_id, ends_with_notification', 'reads'),
            ('notification_once', 'INSERT', 'user_id, once_key, event_id, ends_with_notification', 'runs'),
            ('notification_once', 'UPDATE', 'event_id, ends_with_notification', 'runs'),
            ('notification_once', 'UPDATE', 'ends_with_notification', 'prunes'),
            ('notification_pruned', 'SELECT', '* event_ids, completed_at, pruned_at', 'reads'),
            -- The settings hold secrets: a role that only reads has no use for them.
            ('notification_endpoints', 'SELECT', 'id, name, scope, scope_id, channel, target, event_types,
                enabled, disabled_reason, disabled_at, created_at, updated_at', 'reads'),
            ('notification_endpoints', 'SELECT', 'settings', 'runs'),
            ('notification_endpoints', 'UPDATE', 'enabled, disabled_reason, disabled_at, updated_at', 'runs'),
            ('notification_deliveries', 'SELECT', '* id, key, channel, target, recipient, user_id,
                endpoint_id, event_id, event_type, digest_window, message, occurred_at, status, attempts,
                next_attempt_at, lease_token, leased_at, lease_until, leased_by, transport, provider_id,
                reason, code, created_at, requeued_at, finished_at', 'reads'),
            ('notification_deliveries', 'INSERT', '* channel, target, recipient, user_id, endpoint_id,
                event_id, event_type, digest_window, message, occurred_at, status, next_attempt_at, reason,
                code, finished_at', 'runs'),
            ('notification_deliveries', 'UPDATE', '* status, attempts, next_attempt_at, requeued_at,
                lease_token, leased_at, lease_until, leased_by, transport, provider_id, reason, code,
                finished_at', 'runs'),
            ('notification_delivery_attempts', 'SELECT', '* id, delivery_id, attempt, transport, started_at,
                duration_ms, outcome, status, code, error, answer', 'reads'),
            ('notification_delivery_attempts', 'INSERT', '* delivery_id, attempt, transport, started_at,
                duration_ms, outcome, status, code, error, answer', 'runs'),
            ('notification_delivery_targets', 'SELECT', '* target, paused_until, failing_since, failing_days,
                failures, throttled, throttled_until, last_error, disabled_reason, disabled_at', 'reads'),
            ('notification_delivery_targets', 'INSERT', '* target, paused_until, failing_since, failing_days,
                failures, throttled, throttled_until, last_error, disabled_reason, disabled_at', 'runs'),
            ('notification_delivery_targets', 'UPDATE', '* target, paused_until, failing_since, failing_days,
                failures, throttled, throttled_until, last_error, disabled_reason, disabled_at', 'runs'),
            ('notification_delivery_guards', 'SELECT', '* guard, until', 'reads'),
            ('notification_delivery_guards', 'INSERT', '* guard, delivery_key, until', 'runs'),
            ('notification_delivery_guards', 'UPDATE', '* delivery_key, until', 'runs'),
            -- To delete an e-mail or a delivery it is locked first, which takes the right to update it;
            -- the attempts go with their delivery by themselves.
            ('pending_emails', 'UPDATE', 'processed_at', 'prunes'),
            ('pending_emails', 'DELETE', '', 'prunes'),
            ('notifications', 'DELETE', '', 'prunes'),
            ('notification_deliveries', 'DELETE', '', 'prunes'),
            ('notification_delivery_guards', 'DELETE', '', 'prunes'),
            ('notification_processing', 'DELETE', '', 'prunes'),
            ('notification_pruned', 'INSERT', 'event_ids, completed_at', 'prunes'),
            ('notification_pruned', 'UPDATE', 'completed_at, pruned_at', 'prunes'),
            ('notification_pruned', 'DELETE', '', 'prunes events'),
            ('domain_events', 'DELETE', '', 'prunes events'),
            ('user_notification_preferences', 'INSERT', 'user_id, scope_type, scope_id, event_type, channel,
                status', 'unsubscribes'),
            ('user_notification_preferences', 'UPDATE', 'status', 'unsubscribes'),
            ('notification_endpoints', 'INSERT', 'id, name, scope, scope_id, channel, target, settings,
                event_types', 'keeps endpoints'),
            ('notification_endpoints', 'UPDATE', 'settings', 'keeps endpoints'),
            ('notification_endpoints', 'DELETE', '', 'keeps endpoints'),
            ('notification_delivery_targets', 'DELETE', '', 'keeps endpoints')
            -- required privileges: end
        ) AS needed (name, privilege, columns, what_for)
         WHERE what_for = 'reads'
            OR NOT reads_only AND (
                what_for = 'runs'
                OR what_for = 'prunes' AND prune IN ('1', 'on', 'true', 'events')
                OR what_for = 'prunes events' AND prune = 'events'
                OR what_for = 'unsubscribes' AND unsubscribes
                OR what_for = 'keeps endpoints' AND keeps_endpoints)
    LOOP
        relation := to_regclass(needed.name);
        IF relation IS NULL THEN
            RAISE EXCEPTION 'relation % is not on the search path (%)', needed.name, current_setting('search_path')
                USING HINT = 'Run notify-fan-out migrate before this.';
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I',
            (SELECT nspname FROM pg_namespace n JOIN pg_class c ON n.oid = c.relnamespace WHERE c.oid = relation), job);
        EXECUTE format('GRANT %s %s ON %s TO %I', needed.privilege,
            CASE WHEN needed.columns ~ '^[^*]' THEN '(' || needed.columns || ')' END, relation, job);

        -- Where row level security is on, a right alone shows no row.
        IF NOT is_bypassing AND (SELECT relrowsecurity FROM pg_class WHERE oid = relation)
           AND NOT EXISTS (
               SELECT FROM pg_policy
                WHERE polrelid = relation AND polpermissive
                  AND to_regrole(quote_ident(job)) = ANY (polroles::regrole[])
                  AND pg_get_expr(polqual, polrelid) = 'true'
                  AND (polcmd = '*' AND pg_get_expr(polwithcheck, polrelid) = 'true'
                       OR polcmd = 'r' AND NOT needed.is_written))
        THEN
            EXECUTE format('CREATE POLICY %I ON %s FOR %s TO %I USING (true) %s',
                left(job, 50) || CASE WHEN needed.is_written THEN '_all' ELSE '_select' END, relation,
                CASE WHEN needed.is_written THEN 'ALL' ELSE 'SELECT' END, job,
                CASE WHEN needed.is_written THEN 'WITH CHECK (true)' ELSE '' END);
        END IF;
    END LOOP;

    -- What a person may have, and need not.
    FOR needed IN
        SELECT attname AS name FROM pg_attribute
         WHERE attrelid = 'profiles'::regclass AND attname IN ('time_zone', 'phone') AND NOT attisdropped
    LOOP
        EXECUTE format('GRANT SELECT (%I) ON profiles TO %I', needed.name, job);
    END LOOP;

    IF NOT reads_only THEN
        EXECUTE format('GRANT USAGE ON SEQUENCE %s, %s TO %I', 'notification_claim_token_seq'::regclass,
            'notification_lease_token_seq'::regclass, job);
        EXECUTE format('GRANT SELECT, UPDATE ON SEQUENCE %s TO %I', 'notification_wake_seq'::regclass, job);
        -- Behind bigserial there is a sequence with rights of its own; behind an identity column
        -- there is one that asks for none.
        FOR sequence IN
            SELECT DISTINCT s.oid
              FROM pg_attrdef def
              JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = def.oid
                              AND d.refclassid = 'pg_class'::regclass
              JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
             WHERE def.adrelid = ANY (ARRAY['notifications', 'pending_emails']::regclass[])
                OR unsubscribes AND def.adrelid = 'user_notification_preferences'::regclass
        LOOP
            EXECUTE format('GRANT USAGE ON SEQUENCE %s TO %I', sequence, job);
        END LOOP;
    END IF;

    FOREACH signature IN ARRAY ARRAY['can_view(uuid, uuid)', 'can_view_many(uuid[], uuid[])'] LOOP
        rule := to_regprocedure(signature);
        IF rule IS NULL THEN
            RAISE EXCEPTION '% is not on the search path (%)', signature, current_setting('search_path')
                USING HINT = 'Run notify-fan-out migrate before this.';
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I',
            (SELECT nspname FROM pg_namespace n JOIN pg_proc p ON n.oid = p.pronamespace WHERE p.oid = rule), job);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', rule, job);
    END LOOP;
    -- The second one may be the application's own.
    FOR inspection IN
        SELECT oid FROM pg_proc
         WHERE oid = to_regprocedure('notify_fan_out_pending(integer)')
            OR oid = to_regprocedure('get_pending_notification_events(integer)')
               AND prosrc LIKE '%.notify_fan_out_pending(p_limit)%'
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', inspection, job);
    END LOOP;
    IF NOT has_database_privilege(job, current_database(), 'CONNECT') THEN
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), job);
    END IF;

    -- The role has to find them by their names alone, as whoever runs this does.
    IF EXISTS (SELECT FROM unnest(ARRAY['domain_events', 'profiles', 'orgs', 'org_members', 'projects',
                   'project_access_grants', 'resources', 'permissions', 'chat_threads',
                   'chat_thread_participants', 'meetings', 'meeting_participants',
                   'user_notification_preferences']) AS known (name)
                 JOIN pg_class c ON c.oid = to_regclass(known.name)
                WHERE c.relnamespace::regnamespace::text <> 'public')
       AND NOT EXISTS (SELECT FROM pg_db_role_setting
                        WHERE setrole = to_regrole(quote_ident(job))
                          AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
                          AND 'search_path=' || path = ANY (setconfig))
    THEN
        EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = %s', job, current_database(), path);
    END IF;
END
$$;
COMMIT;

\if :readonly
\echo :role 'may read what dry runs, explain, status, dead-letters list and doctor read, and write nothing.'
\else
\echo :role 'may do what the job needs.'
\endif
\echo 'If the role is new, set its password:' '\\password' :role '(in psql).'
\echo 'Then put it into DATABASE_URL, and check: notify-fan-out doctor'
