//! `scripts/grants.sql` gives a role exactly what the job needs.

mod variables;

use notify_fan_out::ops::doctor::{Setup, Severity, diagnose};
use notify_fan_out::seed::{Size, seed};

use crate::harness::{
    RunCommand as _, Server, TestDatabase, binary_at, database_at, migrate, psql,
};

const GRANTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/grants.sql");
const NOTHING: [&str; 0] = [];

/// A role of a test's own: roles belong to the server.
pub(crate) struct Role {
    name: String,
    /// Of the test's database, for this role.
    pub(crate) url: String,
}

impl Role {
    pub(crate) fn new(db: &TestDatabase<'_>, kind: &str) -> Self {
        let name = format!("{kind}_{}", db.name());
        let url =
            db.superuser_url()
                .replacen("postgres://postgres@", &format!("postgres://{name}@"), 1);
        Self { name, url }
    }

    /// Runs the script for it, as whoever has this URL, twice: it may be repeated.
    pub(crate) fn granted(&self, by: &str, variables: &[&str]) {
        for _ in 0..2 {
            self.try_granted(by, variables).expect("granted");
        }
    }

    /// What the script says on errors.
    fn try_granted(&self, by: &str, variables: &[&str]) -> Result<(), String> {
        let mut command = psql(by, GRANTS);
        command.args(["-v", &format!("role={}", self.name)]);
        for variable in variables {
            command.args(["-v", variable]);
        }
        let output = command.output().expect("psql");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or(error)
    }

    /// What it may do, relation by relation; of columns those that are named.
    async fn rights(&self, db: &TestDatabase<'_>) -> Vec<String> {
        let role = &self.name;
        db.texts(format!(
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
        .await
    }

    /// The rights that it has, and had not before.
    async fn rights_since(&self, db: &TestDatabase<'_>, before: &[String]) -> String {
        let mut rights = self.rights(db).await;
        rights.retain(|right| !before.contains(right));
        rights.join("\n")
    }

    /// What doctor finds missing.
    async fn problems(&self) -> Vec<String> {
        let checks = diagnose(&database_at(&self.url), &Setup::default()).await;
        let checks = checks.expect("findings").into_iter();
        checks
            .filter(|check| check.severity == Severity::Problem)
            .map(|check| format!("{}: {}", check.name, check.found))
            .collect()
    }

    /// Seeds as the owner, runs as the role, which writes all that a run writes.
    async fn runs_the_seed(&self, owner: &str) {
        let seeded = seed(&database_at(owner), Size::Small, false).await;
        seeded.expect("seeded");
        let run = binary_at(&self.url).arg("run").prints();
        let counts = "events=16 notifications=24 merged=1 emails=12";
        assert!(run.contains(counts), "{run}");
    }
}

#[tokio::test]
async fn role_gets_no_more_than_is_needed() {
    let db = TestDatabase::new().await;
    let role = Role::new(&db, "job");
    role.granted(&db.superuser_url(), &[]);
    insta::assert_snapshot!(role.rights(&db).await.join("\n"), @"
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
    notification_wake_seq SELECT, UPDATE
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
    let attributes = format!(
        "SELECT concat_ws(' ', rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication, rolcanlogin)
           FROM pg_roles WHERE rolname = '{}'",
        role.name
    );
    assert_eq!(db.text(attributes).await, "f f f f f t");
}

#[tokio::test]
async fn doctor_misses_each_right() {
    let db = TestDatabase::new().await;
    let role = Role::new(&db, "job");
    role.granted(&db.superuser_url(), &[]);
    assert_eq!(role.problems().await, NOTHING);
    let name = &role.name;
    let each = db
        .texts(format!(
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
        let problems = role.problems().await;
        assert_ne!(problems, NOTHING, "{right} is not needed, or not missed");
        db.execute(format!("GRANT {right} TO {name}")).await;
    }
    assert_eq!(role.problems().await, NOTHING);
}

#[tokio::test]
async fn reader_sees_what_the_job_would_do_and_writes_nothing() {
    let db = TestDatabase::new().await;
    let (reader, owner) = (Role::new(&db, "reader"), db.superuser_url());
    reader.granted(&owner, &["readonly=1"]);
    let seeded = seed(&database_at(&owner), Size::Small, false).await;
    seeded.expect("seeded");
    db.endpoint("slack", "ops").await;
    db.execute(r#"INSERT INTO domain_events (event_type, payload) VALUES ('alert_triggered', '{"alert_id": 1}')"#)
        .await;
    let alert = db.text("SELECT max(id) FROM domain_events").await;
    let dry_run = ["run", "--dry-run", "--format", "json"];
    assert_eq!(
        binary_at(&reader.url).args(dry_run).prints(),
        binary_at(&owner).args(dry_run).prints()
    );
    for right in reader.rights(&db).await {
        let (name, rights) = right.split_once(' ').expect("a relation");
        let may_read = rights.starts_with("SELECT") || rights == "EXECUTE" || name == "schema";
        assert!(may_read, "{right}");
    }
    binary_at(&reader.url).arg("run").fails(1);
    for arguments in [
        &["status"][..],
        &["explain", "1"],
        &["explain", &alert],
        &["dead-letters", "list"],
        &["dead-letters", "retry", "--age", "1s", "--dry-run"],
        &["doctor"],
        &["migrate", "--check"],
    ] {
        binary_at(&reader.url).args(arguments).prints();
    }
    assert_eq!(db.standings().await, "pending=17");
}

#[tokio::test]
async fn tables_may_be_in_another_schema_with_sequences_and_row_level_security() {
    let db = TestDatabase::empty().await;
    let owner = db.superuser_url() + "&options=-c%20search_path%3Dapp";
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
    migrate(&database_at(&owner)).await;
    let role = Role::new(&db, "job");
    // The superuser's own search path does not lead there.
    role.granted(&db.superuser_url(), &[]);
    assert_eq!(role.problems().await, NOTHING);
    let policies =
        "SELECT tablename || ': ' || policyname || ' ' || cmd FROM pg_policies ORDER BY 1";
    let policies = db.texts(policies).await.join("\n");
    insta::assert_snapshot!(policies.replace(&role.name, "ROLE"), @"
    notifications: ROLE_all ALL
    permissions: ROLE_select SELECT
    profiles: ROLE_select SELECT
    ");
    role.runs_the_seed(&owner).await;
}

#[tokio::test]
async fn owner_needs_no_superuser_where_people_reach_the_database_themselves() {
    let server = Server::start();
    let db = TestDatabase::empty_on(&server).await;
    db.execute(
        "CREATE ROLE authenticated; CREATE ROLE service_role; CREATE ROLE owner LOGIN CREATEROLE;
         GRANT ALL ON SCHEMA public TO owner",
    )
    .await;
    let owner = server.url_as("owner", db.name());
    migrate(&database_at(&owner)).await;
    let role = Role::new(&db, "job");
    role.granted(&owner, &[]);
    assert_eq!(role.problems().await, NOTHING);
    let policies = format!(
        "SELECT tablename || ' ' || cmd FROM pg_policies WHERE '{}' = ANY (roles) ORDER BY 1",
        role.name
    );
    assert_eq!(
        db.texts(policies).await,
        ["notifications ALL", "user_notification_preferences SELECT"]
    );
    role.runs_the_seed(&owner).await;
}

#[tokio::test]
async fn database_that_was_not_migrated_is_refused() {
    let db = TestDatabase::empty().await;
    let role = Role::new(&db, "job");
    let refused = role.try_granted(&db.superuser_url(), &[]);
    let error = refused.expect_err("refused");
    let why = "domain_events is not on the search path";
    assert!(error.contains(why), "{error}");
    let made = format!("pg_roles WHERE rolname = '{}'", role.name);
    assert_eq!(db.count(made).await, 0);
}

#[tokio::test]
async fn several_databases_of_a_server_may_be_granted_at_once() {
    let (one, other) = (TestDatabase::new().await, TestDatabase::new().await);
    let role = &Role::new(&one, "job");
    std::thread::scope(|scope| {
        let urls = [one.superuser_url(), other.superuser_url()];
        let granted = urls.map(|url| scope.spawn(move || role.granted(&url, &[])));
        for granted in granted {
            granted.join().expect("granted");
        }
    });
}
