//! Tables, functions, privileges, policies and triggers: what an alteration of a sound database leads to.

use super::{checks, complaints};
use crate::harness::TestDatabase;

/// What is not well after an alteration of a sound database.
async fn after(alteration: &str) -> String {
    let db = TestDatabase::new().await;
    db.execute(alteration).await;
    complaints(&checks(&db).await)
}

/// A table of alterations, and of what is not well after each.
async fn table(alterations: &[&str]) -> String {
    let mut table = Vec::new();
    for alteration in alterations {
        let complaints = after(alteration).await;
        table.push(if complaints.is_empty() {
            "all is well".to_owned()
        } else {
            complaints
        });
    }
    table.join("\n")
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let many_returns = |returned: &str| {
        format!(
            "DROP FUNCTION can_view_many; CREATE TYPE pair AS (user_id uuid, resource_id uuid);
             CREATE FUNCTION can_view_many(uuid[], uuid[]) RETURNS {returned} LANGUAGE plpgsql AS 'BEGIN RETURN; END'"
        )
    };
    insta::assert_snapshot!(table(&[
        "ALTER TABLE meetings DROP COLUMN title; ALTER TABLE profiles RENAME full_name TO name",
        "CREATE SCHEMA hidden; ALTER TABLE orgs SET SCHEMA hidden",
        "DROP FUNCTION can_view; DROP SEQUENCE notification_claim_token_seq",
        "DROP FUNCTION can_view;
         CREATE FUNCTION can_view(uuid, uuid) RETURNS text LANGUAGE sql AS 'SELECT ''yes''::text'",
        "DROP FUNCTION can_view_many",
        &many_returns("TABLE (user_id uuid, resource_id text)"),
        &many_returns("SETOF uuid"),
        &many_returns("SETOF pair"),
        "DELETE FROM notify_fan_out_migrations WHERE version BETWEEN 5 AND 10",
        "DROP INDEX notification_processing_due_idx, notifications_event_user_key",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'notifications_coalesce_key'::regclass",
        // What delivery needs.
        "DROP SEQUENCE notification_lease_token_seq",
        "DROP TABLE notification_delivery_targets",
        "DROP INDEX notification_deliveries_due_idx, pending_emails_digest_idx, pending_emails_delivery_idx",
    ]).await, @"
    Problem tables: meetings has no column title; profiles has no column full_name
    Problem tables: orgs is in schema hidden, which is not on the search path or not open to the role
    Warn functions: function can_view(uuid, uuid) is missing
    Problem tables: the function can_view(uuid, uuid) does not exist, or not on the search path; the sequence notification_claim_token_seq does not exist
    Problem tables: the function can_view(uuid, uuid) does not return a boolean
    Warn functions: function can_view_many(uuid[], uuid[]) is missing
    Problem tables: the function can_view_many(uuid[], uuid[]) does not exist, or not on the search path
    Problem tables: the function can_view_many(uuid[], uuid[]) does not return rows of user_id uuid and resource_id uuid
    Problem tables: the function can_view_many(uuid[], uuid[]) does not return rows of user_id uuid and resource_id uuid
    all is well
    Problem migrations: missing: 0005 row level security, 0006 pruned events, 0007 read for good, 0008 claim by thread, 0009 can view many, 0010 delivery
    Problem indexes: a unique index on notifications (event_id, user_id) is missing, notification_processing_due_idx is missing
    Problem indexes: notifications_coalesce_key is invalid
    Problem tables: the sequence notification_lease_token_seq does not exist
    Problem tables: notification_delivery_targets does not exist
    Problem indexes: notification_deliveries_due_idx is missing, pending_emails_delivery_idx is missing, pending_emails_digest_idx is missing
    ");
}

#[tokio::test]
async fn mutes_that_may_mean_email_are_noticed() {
    let muted = |channels: &str| {
        format!(
            "INSERT INTO profiles (id, email) VALUES (gen_random_uuid(), 'a@example.com');
             INSERT INTO user_notification_preferences (user_id, scope_type, event_type, channel, status)
             SELECT id, 'global', '*', channel, 'muted' FROM profiles CROSS JOIN unnest(ARRAY[{channels}]) AS c (channel)"
        )
    };
    insta::assert_snapshot!(table(&[
        &muted("'in_app'"),
        &muted("'in_app', 'email'"),
        &muted("'*'"),
    ]).await, @"
    Warn preferences: in_app is muted, and there is no preference for e-mail
    all is well
    all is well
    ");
}

#[tokio::test]
async fn privileges_are_checked_one_by_one() {
    insta::assert_snapshot!(table(&[
        "REVOKE UPDATE (claim_token, retry_count) ON notification_processing FROM notify_fan_out",
        "REVOKE SELECT (email) ON profiles FROM notify_fan_out",
        "REVOKE ALL ON SEQUENCE notification_claim_token_seq FROM notify_fan_out",
        // Behind a bigserial column there is a sequence with privileges of its own.
        "ALTER TABLE pending_emails ALTER id DROP IDENTITY; CREATE SEQUENCE mails;
         ALTER TABLE pending_emails ALTER id SET DEFAULT nextval('mails')",
        "REVOKE ALL ON FUNCTION can_view FROM PUBLIC, notify_fan_out",
        "REVOKE ALL ON FUNCTION can_view_many FROM PUBLIC, notify_fan_out",
        "REVOKE SELECT (settings) ON notification_endpoints FROM notify_fan_out",
        "REVOKE INSERT ON notification_delivery_attempts FROM notify_fan_out",
        "ALTER TABLE profiles ADD time_zone text, ADD phone text",
        "ALTER TABLE profiles ADD time_zone text; GRANT SELECT (time_zone) ON profiles TO notify_fan_out",
    ]).await, @"
    Problem rights: no UPDATE on notification_processing (claim_token, retry_count)
    Problem rights: no SELECT on profiles (email)
    Problem rights: no USAGE on sequence notification_claim_token_seq
    Problem rights: no USAGE on sequence mails
    Problem rights: no EXECUTE on function can_view(uuid, uuid)
    Problem can_view: fails: permission denied for function can_view
    Problem rights: no EXECUTE on function can_view_many(uuid[], uuid[])
    Problem can_view: fails: permission denied for function can_view_many
    Problem rights: no SELECT on notification_endpoints (settings)
    Problem rights: no INSERT on notification_delivery_attempts (answer, attempt, code, delivery_id, duration_ms, error, outcome, started_at, status, transport)
    Problem optional columns: profiles has phone and time_zone, and the role may not read it
    all is well
    ");
}

#[tokio::test]
async fn can_view_is_called() {
    insta::assert_snapshot!(table(&[
        "INSERT INTO profiles VALUES ('00000000-0000-4000-8000-000000000001', 'a@example.com');
         INSERT INTO resources VALUES ('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000003', NULL, 'd');
         CREATE TABLE secrets (id int);
         CREATE OR REPLACE FUNCTION can_view(p_user_id uuid, p_resource_id uuid) RETURNS boolean
         LANGUAGE plpgsql AS 'BEGIN RETURN EXISTS (SELECT FROM secrets); END'",
        "CREATE OR REPLACE FUNCTION can_view(p_user_id uuid, p_resource_id uuid) RETURNS boolean
         LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN DELETE FROM permissions WHERE false; RETURN true; END'",
    ]).await, @"
    Problem can_view: fails: permission denied for table secrets
    Warn can_view: writes, which a dry run, explain and this check may not
    ");
}

#[tokio::test]
async fn row_level_security_hides_nobody_unnoticed() {
    insta::assert_snapshot!(table(&[
        "ALTER TABLE org_members ENABLE ROW LEVEL SECURITY",
        // Read by can_view, with its caller's privileges.
        "ALTER TABLE permissions ENABLE ROW LEVEL SECURITY",
        // A policy that shows some is no better.
        "ALTER TABLE profiles ENABLE ROW LEVEL SECURITY;
         CREATE POLICY named ON profiles USING (full_name IS NOT NULL)",
        "ALTER TABLE profiles ENABLE ROW LEVEL SECURITY;
         CREATE POLICY others ON profiles TO pg_monitor USING (true)",
        "ALTER TABLE profiles ENABLE ROW LEVEL SECURITY;
         CREATE POLICY shown ON profiles FOR SELECT USING (true);
         CREATE POLICY hidden ON profiles AS RESTRICTIVE USING (full_name IS NOT NULL)",
        "ALTER TABLE notifications ENABLE ROW LEVEL SECURITY;
         CREATE POLICY shown ON notifications FOR SELECT USING (true)",
        "ALTER TABLE notification_deliveries ENABLE ROW LEVEL SECURITY;
         CREATE POLICY shown ON notification_deliveries FOR SELECT USING (true)",
        // What shows and takes all is well, whoever it is for.
        "ALTER TABLE notifications ENABLE ROW LEVEL SECURITY;
         CREATE POLICY everything ON notifications USING (true);
         ALTER TABLE profiles ENABLE ROW LEVEL SECURITY;
         CREATE POLICY shown ON profiles FOR SELECT TO notify_fan_out USING (true)",
    ]).await, @"
    Problem row level security: hides rows of org_members from the role; recipients would be missed
    Problem row level security: hides rows of permissions from the role; recipients would be missed
    Problem row level security: hides rows of profiles from the role; recipients would be missed
    Problem row level security: hides rows of profiles from the role; recipients would be missed
    Problem row level security: hides rows of profiles from the role; recipients would be missed
    Problem row level security: refuses rows that the role writes to notifications
    Problem row level security: refuses rows that the role writes to notification_deliveries
    all is well
    ");
}

#[tokio::test]
async fn events_that_nobody_enqueues_are_noticed() {
    insta::assert_snapshot!(table(&[
        "DROP TRIGGER notify_fan_out_enqueue ON domain_events",
        "ALTER TABLE domain_events DISABLE TRIGGER notify_fan_out_enqueue;
         INSERT INTO domain_events (event_type) VALUES ('a'), ('b');
         INSERT INTO domain_events (event_type, occurred_at) VALUES ('old', now() - interval '2 days');
         ALTER TABLE domain_events ENABLE REPLICA TRIGGER notify_fan_out_enqueue",
        // Behind the mark, where no run looks.
        "SET session_replication_role = replica;
         INSERT INTO domain_events (event_type) VALUES ('a'), ('b');
         UPDATE notification_sweep SET swept_to = 1",
        "ALTER FUNCTION notify_fan_out_enqueue OWNER TO pg_monitor",
        // A row that was pruned has been there.
        "INSERT INTO domain_events (event_type) VALUES ('a');
         DELETE FROM notification_processing;
         INSERT INTO notification_pruned SELECT int8range(min(id), max(id), '[]'), now() FROM domain_events",
    ]).await, @"
    Warn functions: trigger notify_fan_out_enqueue on public.domain_events is missing
    Problem trigger: domain_events has no trigger notify_fan_out_enqueue: new events are not seen
    Problem trigger: notify_fan_out_enqueue is disabled: new events are not seen
    Warn queue: 2 events of the last day have no processing row, the first is 1: they arrived by logical replication, directly into a partition, with session_replication_role 'replica', or while the trigger was off
    Problem queue: 2 events of the last day have no processing row, the first is 1: they arrived by logical replication, directly into a partition, with session_replication_role 'replica', or while the trigger was off
    Problem trigger: the owner of its function may not insert into notification_processing: the application's inserts fail
    all is well
    ");
}

/// What somebody restored from an older migration, or altered, is not what this version makes.
#[tokio::test]
async fn functions_and_triggers_are_compared() {
    insta::assert_snapshot!(after(
        "CREATE OR REPLACE FUNCTION notify_fan_out_enqueue() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
         BEGIN INSERT INTO public.notification_processing (event_id, occurred_at) SELECT id, occurred_at FROM inserted; RETURN NULL; END $$;
         ALTER FUNCTION notify_fan_out_pending SECURITY DEFINER;
         GRANT EXECUTE ON FUNCTION can_view TO PUBLIC;
         DROP TRIGGER notify_fan_out_close_read ON notifications",
    ).await, @"Warn functions: function can_view(uuid, uuid) differs from what this version makes; function notify_fan_out_enqueue() differs from what this version makes; trigger notify_fan_out_close_read on public.notifications is missing; function notify_fan_out_pending(integer) differs from what this version makes");
}
