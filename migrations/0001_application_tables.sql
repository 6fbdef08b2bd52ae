-- The application's side. A database that already runs has these, as tables or views, and keeps
-- them as they are; an empty one gets the least that the job needs to run out of the box.

DO $$
DECLARE
    -- What is made here, and was not there before.
    made text[] := '{}';
    target text;
    client text;
BEGIN
    IF to_regclass('profiles') IS NULL THEN
        CREATE TABLE profiles (
            id uuid PRIMARY KEY,
            email text NOT NULL,
            full_name text
        );
        made := made || 'profiles'::text;
    END IF;

    IF to_regclass('orgs') IS NULL THEN
        CREATE TABLE orgs (
            id uuid PRIMARY KEY,
            name text NOT NULL
        );
        made := made || 'orgs'::text;
    END IF;

    IF to_regclass('org_members') IS NULL THEN
        CREATE TABLE org_members (
            org_id uuid NOT NULL,
            user_id uuid NOT NULL,
            role text NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'member')),
            PRIMARY KEY (org_id, user_id)
        );
        made := made || 'org_members'::text;
    END IF;

    IF to_regclass('projects') IS NULL THEN
        CREATE TABLE projects (
            id uuid PRIMARY KEY,
            name text NOT NULL,
            owner_org_id uuid NOT NULL
        );
        made := made || 'projects'::text;
    END IF;

    IF to_regclass('project_access_grants') IS NULL THEN
        CREATE TABLE project_access_grants (
            project_id uuid NOT NULL,
            user_id uuid NOT NULL,
            PRIMARY KEY (project_id, user_id)
        );
        made := made || 'project_access_grants'::text;
    END IF;

    IF to_regclass('resources') IS NULL THEN
        CREATE TABLE resources (
            id uuid PRIMARY KEY,
            org_id uuid NOT NULL,
            project_id uuid,
            name text NOT NULL
        );
        made := made || 'resources'::text;
    END IF;

    IF to_regclass('permissions') IS NULL THEN
        CREATE TABLE permissions (
            resource_id uuid NOT NULL,
            user_id uuid NOT NULL,
            permission text NOT NULL CHECK (permission IN ('view', 'edit', 'none')),
            PRIMARY KEY (resource_id, user_id)
        );
        made := made || 'permissions'::text;
    END IF;

    IF to_regclass('chat_threads') IS NULL THEN
        CREATE TABLE chat_threads (
            id uuid PRIMARY KEY,
            project_id uuid,
            topic text
        );
        made := made || 'chat_threads'::text;
    END IF;

    IF to_regclass('chat_thread_participants') IS NULL THEN
        CREATE TABLE chat_thread_participants (
            thread_id uuid NOT NULL,
            user_id uuid NOT NULL,
            last_read_at timestamptz,
            PRIMARY KEY (thread_id, user_id)
        );
        made := made || 'chat_thread_participants'::text;
    END IF;

    IF to_regclass('meetings') IS NULL THEN
        CREATE TABLE meetings (
            id uuid PRIMARY KEY,
            title text NOT NULL,
            start_time timestamptz,
            project_id uuid
        );
        made := made || 'meetings'::text;
    END IF;

    IF to_regclass('meeting_participants') IS NULL THEN
        CREATE TABLE meeting_participants (
            meeting_id uuid NOT NULL,
            user_id uuid NOT NULL,
            PRIMARY KEY (meeting_id, user_id)
        );
        made := made || 'meeting_participants'::text;
    END IF;

    IF to_regclass('user_notification_preferences') IS NULL THEN
        CREATE TABLE user_notification_preferences (
            user_id uuid NOT NULL,
            scope_type text NOT NULL CHECK (scope_type IN ('global', 'project', 'thread')),
            scope_id uuid,
            event_type text NOT NULL DEFAULT '*',
            channel text NOT NULL DEFAULT '*' CHECK (channel IN ('in_app', 'email', '*')),
            status text NOT NULL CHECK (status IN ('muted', 'digest', 'immediate')),
            UNIQUE (user_id, scope_type, scope_id, event_type, channel)
        );
        made := made || 'user_notification_preferences'::text;
    END IF;

    -- Default privileges, as Supabase has them, open each new table to everyone on the web.
    IF (SELECT count(*) = 2 FROM pg_roles WHERE rolname IN ('authenticated', 'service_role')) THEN
        FOREACH target IN ARRAY made LOOP
            FOR client IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
                EXECUTE format('REVOKE ALL ON %I FROM %I', target, client);
            END LOOP;
        END LOOP;
    END IF;
END
$$;
