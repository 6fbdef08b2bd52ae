//! `scripts/grants.sql` gives a role exactly what the job needs.

use std::process::Command;

use notify_fan_out::ops::doctor::{Setup, Severity, diagnose};
use notify_fan_out::seed::{Size, seed};

use crate::harness::{Server, TestDatabase, database_at};

const GRANTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/grants.sql");

/// Runs the script with variables, as the superuser. What it says on errors.
fn grants(db: &TestDatabase<'_>, variables: &[&str]) -> Result<(), String> {
    grants_as(&db.superuser_url(), variables)
}

pub(crate) fn grants_as(url: &str, variables: &[&str]) -> Result<(), String> {
    let programs = std::env::var_os("TEST_PG_BIN").expect("TEST_PG_BIN: call ./scripts/test.sh");
    let mut command = Command::new(std::path::Path::new(&programs).join("psql"));
    command
        .args(["-X", "-q", "-f", GRANTS])
        .arg(url)
        .current_dir("/");
    for variable in variables {
        command.args(["-v", variable]);
    }
    let output = command.output().expect("psql");
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// A role of a test's own: roles belong to the server.
pub(crate) fn role(db: &TestDatabase<'_>, kind: &str) -> (String, String, String) {
    let name = format!("{kind}_{}", db.name());
    let own =
        db.superuser_url()
            .replacen("postgres://postgres@", &format!("postgres://{name}@"), 1);
    (name.clone(), format!("role={name}"), own)
}

/// What a role may do, relation by relation; of columns those that are named.
async fn rights(db: &TestDatabase<'_>, role: &str) -> String {
    let rights = db
        .texts(&format!(
            "SELECT concat_ws(' ', name, string_agg(privilege, ', ' ORDER BY privilege))
               FROM (SELECT c.relname AS name, a.privilege_type AS privilege
                       FROM pg_class c CROSS JOIN aclexplode(c.relacl) AS a
                      WHERE a.grantee = '{role}'::regrole
                     UNION ALL
                     SELECT c.relname, x.privilege_type || ' (' || string_agg(a.attname, ', ' ORDER BY a.attname) || ')'
                       FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid CROSS JOIN aclexplode(a.attacl) AS x
                      WHERE x.grantee = '{role}'::regrole
                      GROUP BY c.relname, x.privilege_type
                     UNION ALL
                     SELECT p.proname || '()', a.privilege_type
                       FROM pg_proc p CROSS JOIN aclexplode(p.proacl) AS a WHERE a.grantee = '{role}'::regrole
                     UNION ALL
                     SELECT 'schema ' || n.nspname, a.privilege_type
                       FROM pg_namespace n CROSS JOIN aclexplode(n.nspacl) AS a WHERE a.grantee = '{role}'::regrole
                    ) AS each
              GROUP BY name ORDER BY name"
        ))
        .await;
    rights.join("\n")
}

async fn problems(url: &str) -> Vec<String> {
    let checks = diagnose(&database_at(url), &Setup::default())
        .await
        .expect("findings");
    let problems = checks
        .into_iter()
        .filter(|check| check.severity == Severity::Problem);
    problems
        .map(|check| format!("{}: {}", check.name, check.found))
        .collect()
}

#[tokio::test]
async fn no_more_than_is_needed() {
    let db = TestDatabase::new().await;
    let (name, variable, _) = role(&db, "job");
    grants(&db, &[&variable]).expect("granted");
    let first = rights(&db, &name).await;
    insta::assert_snapshot!(first, @"
    can_view() EXECUTE
    can_view_many() EXECUTE
    chat_thread_participants SELECT
    chat_threads SELECT
    domain_events SELECT
    get_pending_notification_events() EXECUTE
    meeting_participants SELECT
    meetings SELECT
    notification_claim_token_seq USAGE
    notification_deliveries INSERT, SELECT, UPDATE
    notification_delivery_attempts INSERT, SELECT
    notification_delivery_guards INSERT, SELECT, UPDATE
    notification_delivery_targets INSERT, SELECT, UPDATE
    notification_endpoints SELECT (channel, created_at, disabled_at, disabled_reason, enabled, event_types, id, name, scope, scope_id, settings, target, updated_at), UPDATE (disabled_at, disabled_reason, enabled, updated_at)
    notification_lease_token_seq USAGE
    notification_once INSERT (ends_with_notification, event_id, once_key, user_id), SELECT, UPDATE (ends_with_notification, event_id)
    notification_processing INSERT (created_at, event_id, next_attempt_at, occurred_at, processing_status, retry_count, thread_id), SELECT, UPDATE (claim_token, claimed_at, completed_at, error_message, next_attempt_at, processing_status, processor_id, retried_at, retry_count, unhandled_type)
    notification_pruned SELECT
    notification_sweep SELECT, UPDATE (seen_at, seen_to, swept_to)
    notifications INSERT (body, coalesce_count, coalesce_key, created_at, event_id, link_url, payload, title, user_id), SELECT, UPDATE (body, coalesce_count, created_at, event_id, link_url, payload, title, updated_at)
    notify_fan_out_migrations SELECT
    notify_fan_out_pending() EXECUTE
    org_members SELECT
    orgs SELECT
    pending_emails INSERT (body_data, delivery_type, event_id, event_type, has_notification, project_id, project_name, subject, user_id), SELECT, UPDATE (delivery_id, processed_at, status, status_reason)
    permissions SELECT
    profiles SELECT (email, full_name, id)
    project_access_grants SELECT
    projects SELECT
    resources SELECT
    schema public USAGE
    user_notification_preferences SELECT
    ");
    grants(&db, &[&variable]).expect("granted again");
    assert_eq!(rights(&db, &name).await, first);
    let attributes = db
        .text(&format!(
            "SELECT concat_ws(' ', rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication, rolcanlogin)
               FROM pg_roles WHERE rolname = '{name}'"
        ))
        .await;
    assert_eq!(attributes, "f f f f f t");
}

#[tokio::test]
async fn no_right_is_without_use() {
    let db = TestDatabase::new().await;
    let (name, variable, url) = role(&db, "job");
    grants(&db, &[&variable]).expect("granted");
    assert_eq!(problems(&url).await, Vec::<String>::new());
    let each = db
        .texts(&format!(
            "SELECT a.privilege_type || ' ON ' || CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END || c.relname
               FROM pg_class c CROSS JOIN aclexplode(c.relacl) AS a WHERE a.grantee = '{name}'::regrole
             UNION ALL
             SELECT x.privilege_type || ' (' || a.attname || ') ON ' || c.relname
               FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid CROSS JOIN aclexplode(a.attacl) AS x
              WHERE x.grantee = '{name}'::regrole"
        ))
        .await;
    assert!(each.len() > 40, "{each:?}");
    // Something to call can_view with, so that it reads what it reads.
    db.execute(
        "INSERT INTO profiles VALUES ('00000000-0000-4000-8000-000000000001', 'a@example.com');
         INSERT INTO resources VALUES ('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000003', NULL, 'd')",
    )
    .await;
    for right in each {
        db.execute(format!("REVOKE {right} FROM {name}")).await;
        assert_ne!(
            problems(&url).await,
            Vec::<String>::new(),
            "{right} is not needed, or doctor does not miss it"
        );
        db.execute(format!("GRANT {right} TO {name}")).await;
    }
    assert_eq!(problems(&url).await, Vec::<String>::new());
}

#[tokio::test]
async fn deleting_takes_a_variable() {
    let db = TestDatabase::new().await;
    let (name, variable, url) = role(&db, "job");
    grants(&db, &[&variable]).expect("granted");
    seed(&database_at(&db.superuser_url()), Size::Small, false)
        .await
        .expect("seeded");
    db.run().await;
    db.execute(
        "UPDATE notification_processing SET completed_at = now() - interval '60 days';
         UPDATE notifications SET read_at = now() - interval '60 days';
         UPDATE pending_emails SET status = 'sent', processed_at = now() - interval '60 days';
         INSERT INTO notification_deliveries (channel, target, recipient, event_type, status, finished_at)
         VALUES ('slack', 'env:slack', 'env:slack', 'x', 'delivered', now() - interval '60 days');
         INSERT INTO notification_delivery_attempts (delivery_id, attempt, transport, started_at, outcome)
         SELECT id, 1, 'slack', now(), 'delivered' FROM notification_deliveries;
         INSERT INTO notification_delivery_guards (guard, delivery_key, until)
         VALUES ('x', gen_random_uuid(), now() - interval '1 day')",
    )
    .await;
    let prune = |arguments: &[&str]| {
        let mut command = crate::harness::binary_at(&url);
        command
            .args(["prune", "--older-than", "30d"])
            .args(arguments);
        assert_cmd::Command::from_std(command).assert()
    };
    let lacks = |arguments: &[&str]| {
        let refused = prune(arguments).code(1);
        let error = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
        let (_, advice) = error.split_once("; as ").expect("advice");
        advice.trim_end().replace(&name, "ROLE")
    };
    insta::assert_snapshot!(lacks(&[]), @"the tables' owner: psql -d DATABASE -v role='ROLE' -v prune=1 -f scripts/grants.sql");
    grants(&db, &[&variable, "prune=1"]).expect("granted");
    prune(&[]).success();
    for table in [
        "notifications",
        "pending_emails",
        "notification_deliveries",
        "notification_delivery_attempts",
        "notification_delivery_guards",
    ] {
        assert_eq!(db.count(table).await, 0, "{table}");
    }
    assert_eq!(
        (
            db.count("notification_processing").await,
            db.count("domain_events").await
        ),
        (0, 16)
    );
    insta::assert_snapshot!(lacks(&["--events"]), @"the tables' owner: psql -d DATABASE -v role='ROLE' -v prune=events -f scripts/grants.sql");
    grants(&db, &[&variable, "prune=events"]).expect("granted");
    prune(&["--events"]).success();
    assert_eq!(
        (
            db.count("domain_events").await,
            db.count("notification_pruned").await
        ),
        (0, 0)
    );
    assert!(
        grants(&db, &[&variable, "prune=maybe"])
            .expect_err("refused")
            .contains("prune must be 1 or events")
    );
}

#[tokio::test]
async fn unsubscribing_takes_a_variable() {
    use notify_fan_out::unsubscribe::{
        UnsubscribeOutcome, UnsubscribeRequest, UnsubscribeScope, apply,
    };

    let db = TestDatabase::new().await;
    let bo = db.world().await.user("Bo").await;
    db.execute(
        "ALTER TABLE user_notification_preferences ADD COLUMN id bigserial;
         ALTER TABLE user_notification_preferences ENABLE ROW LEVEL SECURITY",
    )
    .await;
    let (name, variable, url) = role(&db, "job");
    let muted = async || {
        let mut session = database_at(&url).connect().await.expect("a connection");
        let request = UnsubscribeRequest {
            user_id: bo,
            scope: UnsubscribeScope::All,
        };
        apply(&mut session, &request).await
    };
    grants(&db, &[&variable]).expect("granted");
    let before = rights(&db, &name).await;
    assert!(muted().await.is_err());
    grants(&db, &[&variable, "unsubscribe=1"]).expect("granted");
    grants(&db, &[&variable, "unsubscribe=1"]).expect("granted again");
    assert_eq!(
        muted().await.expect("muted"),
        UnsubscribeOutcome::Unsubscribed
    );
    assert_eq!(
        muted().await.expect("muted"),
        UnsubscribeOutcome::AlreadyUnsubscribed
    );
    let after = rights(&db, &name).await;
    let more: Vec<_> = after
        .lines()
        .filter(|line| !before.contains(line))
        .collect();
    assert_eq!(
        more,
        [
            "user_notification_preferences INSERT (channel, event_type, scope_id, scope_type, status, user_id), SELECT, UPDATE (status)",
            "user_notification_preferences_id_seq USAGE",
        ]
    );
    // Each is used.
    for (right, row) in [
        (
            "INSERT (status)",
            "DELETE FROM user_notification_preferences",
        ),
        (
            "UPDATE (status)",
            "UPDATE user_notification_preferences SET status = 'digest'",
        ),
        (
            "USAGE ON SEQUENCE",
            "DELETE FROM user_notification_preferences",
        ),
    ] {
        db.execute(row).await;
        let on = match right.strip_suffix(" ON SEQUENCE") {
            Some(usage) => format!("{usage} ON SEQUENCE user_notification_preferences_id_seq"),
            None => format!("{right} ON user_notification_preferences"),
        };
        db.execute(format!("REVOKE {on} FROM {name}")).await;
        assert!(muted().await.is_err(), "{right} is not needed");
        db.execute(format!("GRANT {on} TO {name}")).await;
        assert_eq!(
            muted().await.expect("muted"),
            UnsubscribeOutcome::Unsubscribed
        );
    }
    assert_eq!(problems(&url).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_reader_sees_what_the_job_would_do_and_writes_nothing() {
    let db = TestDatabase::new().await;
    let (reader, variable, url) = role(&db, "reader");
    grants(&db, &[&variable, "readonly=1"]).expect("granted");
    seed(&database_at(&db.superuser_url()), Size::Small, false)
        .await
        .expect("seeded");
    db.execute(
        r#"INSERT INTO notification_endpoints (id, name, channel, target, settings)
           VALUES (gen_random_uuid(), 'ops', 'slack', '…', '{}');
           INSERT INTO domain_events (event_type, payload) VALUES ('alert_triggered', '{"alert_id": 1}')"#,
    )
    .await;
    let alert = db.text("SELECT max(id) FROM domain_events").await;
    let dry_run = |url: &str| {
        let mut command = crate::harness::binary_at(url);
        command.args(["run", "--dry-run", "--format", "json"]);
        assert_cmd::Command::from_std(command)
            .assert()
            .success()
            .get_output()
            .stdout
            .clone()
    };
    assert_eq!(
        String::from_utf8_lossy(&dry_run(&url)),
        String::from_utf8_lossy(&dry_run(&db.superuser_url()))
    );
    assert!(rights(&db, &reader).await.lines().all(|line| {
        line.split_once(' ').is_some_and(|(name, rights)| {
            rights.starts_with("SELECT") || rights == "EXECUTE" || name == "schema"
        })
    }));
    let mut command = crate::harness::binary_at(&url);
    command.arg("run");
    assert_cmd::Command::from_std(command).assert().code(1);
    for arguments in [
        &["status"][..],
        &["explain", "1"],
        &["explain", &alert],
        &["dead-letters", "list"],
        &["dead-letters", "retry", "--age", "1s", "--dry-run"],
        &["doctor"],
        &["migrate", "--check"],
    ] {
        let mut command = crate::harness::binary_at(&url);
        command.args(arguments);
        assert_cmd::Command::from_std(command).assert().success();
    }
    assert_eq!(db.statuses().await, [("pending".to_owned(), 17)].into());
}

#[tokio::test]
async fn tables_in_another_schema_with_sequences_and_row_level_security() {
    let db = TestDatabase::empty().await;
    let mut path = db.superuser_url();
    path.push_str("&options=-c%20search_path%3Dapp");
    db.execute(
        "CREATE SCHEMA app;
         CREATE TABLE app.domain_events (id bigserial PRIMARY KEY, event_type text NOT NULL, payload jsonb,
             created_at timestamptz NOT NULL DEFAULT now());
         CREATE TABLE app.notifications (id bigserial PRIMARY KEY, user_id uuid NOT NULL, event_id bigint NOT NULL,
             title text NOT NULL, body text, link_url text, read_at timestamptz, created_at timestamptz DEFAULT now());
         CREATE TABLE app.profiles (id uuid PRIMARY KEY, email text NOT NULL, full_name text);
         CREATE TABLE app.permissions (resource_id uuid, user_id uuid, permission text, PRIMARY KEY (resource_id, user_id));
         ALTER TABLE app.notifications ENABLE ROW LEVEL SECURITY;
         ALTER TABLE app.profiles ENABLE ROW LEVEL SECURITY;
         ALTER TABLE app.permissions ENABLE ROW LEVEL SECURITY",
    )
    .await;
    crate::harness::migrate(&database_at(&path)).await;
    let (name, variable, url) = role(&db, "job");
    // Its own search path does not lead there.
    grants(&db, &[&variable]).expect("granted");
    grants(&db, &[&variable]).expect("granted again");
    assert_eq!(problems(&url).await, Vec::<String>::new());
    let policies = db
        .texts("SELECT tablename || ': ' || policyname || ' ' || cmd FROM pg_policies ORDER BY 1")
        .await;
    assert_eq!(
        policies,
        [
            format!("notifications: {name}_all ALL"),
            format!("permissions: {name}_select SELECT"),
            format!("profiles: {name}_select SELECT"),
        ]
    );
    seed(&database_at(&path), Size::Small, false)
        .await
        .expect("seeded");
    let stop = tokio_util::sync::CancellationToken::new();
    let (report, result) =
        notify_fan_out::fan_out::run(&database_at(&url), &db.settings(), &stop, &mut |_| {}).await;
    result.expect("a run");
    assert_eq!(
        (
            report.events,
            report.notifications,
            report.emails,
            report.failed
        ),
        (16, 24, 12, 0)
    );
}

#[tokio::test]
async fn a_database_that_was_not_migrated_is_refused() {
    let db = TestDatabase::empty().await;
    let (name, variable, _) = role(&db, "job");
    let error = grants(&db, &[&variable]).expect_err("refused");
    assert!(
        error.contains("domain_events is not on the search path"),
        "{error}"
    );
    assert_eq!(
        db.count(&format!("pg_roles WHERE rolname = '{name}'"))
            .await,
        0
    );
}

#[tokio::test]
async fn several_databases_of_a_server_at_once() {
    let (one, other) = (TestDatabase::new().await, TestDatabase::new().await);
    let (_, variable, _) = role(&one, "job");
    std::thread::scope(|scope| {
        let granted = [&one, &other].map(|db| scope.spawn(|| grants(db, &[&variable])));
        for granted in granted {
            granted.join().expect("no panic").expect("granted");
        }
    });
}

#[tokio::test]
async fn an_owner_without_superuser_where_people_reach_the_database_themselves() {
    let server = Server::start();
    let db = TestDatabase::empty_on(&server).await;
    db.execute(
        "CREATE ROLE authenticated; CREATE ROLE service_role; CREATE ROLE owner LOGIN CREATEROLE;
         GRANT ALL ON SCHEMA public TO owner",
    )
    .await;
    let owner = server.url_as("owner", db.name());
    crate::harness::migrate(&database_at(&owner)).await;
    let (name, variable, url) = role(&db, "job");
    grants_as(&owner, &[&variable]).expect("granted");
    grants_as(&owner, &[&variable]).expect("granted again");
    assert_eq!(problems(&url).await, Vec::<String>::new());
    let policies = db
        .texts(&format!(
            "SELECT tablename || ' ' || cmd FROM pg_policies WHERE '{name}' = ANY (roles) ORDER BY 1"
        ))
        .await;
    assert_eq!(
        policies,
        ["notifications ALL", "user_notification_preferences SELECT"]
    );
    seed(&database_at(&owner), Size::Small, false)
        .await
        .expect("seeded");
    let stop = tokio_util::sync::CancellationToken::new();
    let (report, result) =
        notify_fan_out::fan_out::run(&database_at(&url), &db.settings(), &stop, &mut |_| {}).await;
    result.expect("a run");
    assert_eq!(
        (
            report.events,
            report.notifications,
            report.emails,
            report.failed
        ),
        (16, 24, 12, 0)
    );
}

#[tokio::test]
async fn keeping_endpoints_takes_a_variable() {
    let db = TestDatabase::new().await;
    let (name, variable, url) = role(&db, "job");
    db.execute("ALTER TABLE notification_endpoints ENABLE ROW LEVEL SECURITY")
        .await;
    let endpoint = |arguments: &[&str]| {
        let mut command = crate::harness::binary_at(&url);
        command
            .env("NOTIFY_SECRET_KEY", "5a".repeat(32))
            .arg("endpoint")
            .args(arguments);
        assert_cmd::Command::from_std(command).assert()
    };
    let add = [
        "add",
        "ops",
        "--channel",
        "webhook",
        "--url",
        "https://example.com",
    ];
    grants(&db, &[&variable]).expect("granted");
    let before = rights(&db, &name).await;
    endpoint(&add).code(1);
    grants(&db, &[&variable, "endpoints=1"]).expect("granted");
    grants(&db, &[&variable, "endpoints=1"]).expect("granted again");
    let after = rights(&db, &name).await;
    let more: Vec<_> = after
        .lines()
        .filter(|line| !before.contains(line))
        .collect();
    assert_eq!(
        more,
        [
            "notification_delivery_targets DELETE, INSERT, SELECT, UPDATE",
            "notification_endpoints DELETE, INSERT (channel, event_types, id, name, scope, scope_id, settings, target), \
             SELECT (channel, created_at, disabled_at, disabled_reason, enabled, event_types, id, name, scope, scope_id, settings, target, updated_at), \
             UPDATE (disabled_at, disabled_reason, enabled, settings, updated_at)",
        ]
    );
    let each = [
        &add[..],
        &["rotate-secret", "ops"],
        &["disable", "ops"],
        &["enable", "ops"],
        &["reseal"],
        &["remove", "ops"],
    ];
    for arguments in each {
        endpoint(arguments).success();
    }
    // Each is used.
    for right in [
        "INSERT (settings) ON notification_endpoints",
        "UPDATE (settings) ON notification_endpoints",
        "DELETE ON notification_endpoints",
        "DELETE ON notification_delivery_targets",
    ] {
        db.execute(format!("REVOKE {right} FROM {name}")).await;
        let failed = each
            .iter()
            .filter(|arguments| endpoint(arguments).get_output().status.code() != Some(0))
            .count();
        assert!(failed > 0, "{right} is not needed");
        db.execute(format!(
            "DELETE FROM notification_endpoints; GRANT {right} TO {name}"
        ))
        .await;
    }
    assert_eq!(problems(&url).await, Vec::<String>::new());
}
