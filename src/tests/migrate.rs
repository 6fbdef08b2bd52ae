//! Looking before a migration, and the way back.

mod contract;

use std::process::Command;

use notify_fan_out::db::migrate::MigrateReport;

use crate::adoption::{APPLICATION, OLDER_JOB, adopt, works};
use crate::grants::Role;
use crate::harness::{
    RunCommand as _, Server, TestDatabase, binary_at, id, psql, server_program, succeed,
};

/// The schema as `pg_dump` prints it, without its marks of the moment.
fn schema(db: &TestDatabase<'_>) -> String {
    let dump = Command::new(server_program("pg_dump"))
        .args(["--schema-only", "--no-owner", &db.superuser_url()])
        .prints();
    // psql's own commands differ from dump to dump.
    let lines = dump.lines().filter(|line| !line.starts_with('\\'));
    lines.collect::<Vec<_>>().join("\n")
}

fn run_script(db: &TestDatabase<'_>, script: &str) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), script).expect("written");
    succeed(&mut psql(&db.superuser_url(), file.path()));
}

/// `migrate` as the owner of the tables.
fn migrate(db: &TestDatabase<'_>, arguments: &[&str]) -> Command {
    let mut command = db.binary_as_owner();
    command.arg("migrate").args(arguments);
    command
}

const ROWS: &str = "
    INSERT INTO domain_events (event_type, meeting_id) SELECT 'meeting_updated', gen_random_uuid() FROM generate_series(1, 5);
    INSERT INTO domain_events (event_type, occurred_at) VALUES ('meeting_updated', now() - interval '3 days');
    INSERT INTO notification_processing (event_id, processing_status, retry_count, processor_id) VALUES
        (1, 'completed', 0, 'older'), (2, 'failed', 3, 'older'), (3, 'pending', 1, 'older');
    INSERT INTO notifications (user_id, event_id, title) VALUES (gen_random_uuid(), 1, 'Old');
    INSERT INTO pending_emails (user_id, event_id, subject, status) VALUES (gen_random_uuid(), 1, 'Old', 'pending')";

/// As older jobs claim: what has no row.
const OLDER_CLAIM: &str =
    "INSERT INTO notification_processing (event_id, processing_status, processor_id)
    SELECT e.id, 'processing', 'older' FROM domain_events e
      LEFT JOIN notification_processing p ON p.event_id = e.id WHERE p.event_id IS NULL";

/// All is as it was: the schema, the application's rows, and what the older job finds to do.
async fn goes_back(db: &TestDatabase<'_>) {
    let before = schema(db);
    let rows = "SELECT to_jsonb(p)::text FROM notification_processing p UNION ALL SELECT to_jsonb(n)::text FROM notifications n
         UNION ALL SELECT to_jsonb(m)::text FROM pending_emails m UNION ALL SELECT to_jsonb(e)::text FROM domain_events e ORDER BY 1";
    let old = db.texts(rows).await;
    migrate(db, &[]).prints();
    assert_eq!(db.count("notification_processing").await, 6);
    let refused = migrate(db, &["--revert"]).fails(2);
    assert!(refused.contains("--yes"), "{refused}");
    migrate(db, &["--revert", "--yes"]).prints();
    assert_same_schema(&before, &schema(db));
    assert_eq!(db.texts(rows).await, old);
    db.execute(OLDER_CLAIM).await;
    let claimed = "SELECT event_id FROM notification_processing WHERE processing_status = 'processing' ORDER BY 1";
    assert_eq!(db.texts(claimed).await, ["4", "5", "6"]);
    let nothing = migrate(db, &["--revert"]).prints();
    assert!(nothing.contains("nothing of the service"), "{nothing}");
}

/// Fails with what differs.
fn assert_same_schema(before: &str, after: &str) {
    // The order of privileges is of no matter.
    let lines = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let (before, after) = (lines(before), lines(after));
    let lost: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
    let added: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(before == after, "lost: {lost:#?} added: {added:#?}");
}

#[tokio::test]
async fn an_older_job_goes_on_after_a_revert() {
    let db = TestDatabase::empty().await;
    db.execute(format!(
        "{APPLICATION}{OLDER_JOB}{ROWS};
         COMMENT ON TABLE notification_processing IS 'Theirs';
         COMMENT ON COLUMN notifications.event_id IS 'Theirs'"
    ))
    .await;
    goes_back(&db).await;
}

/// Where people reach the database themselves, policies and privileges go back as well.
#[tokio::test]
async fn privileges_and_policies_go_back() {
    let server = Server::start();
    let db = TestDatabase::empty_on(&server).await;
    db.execute(format!(
        "CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE service_role;
         ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO anon, authenticated, service_role;
         ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;
         {APPLICATION}{OLDER_JOB}{ROWS};
         ALTER TABLE domain_events ALTER occurred_at DROP DEFAULT"
    ))
    .await;
    goes_back(&db).await;
}

/// What migrate made for an application stays once the application has filled it; an empty database is empty
/// again.
#[tokio::test]
async fn revert_leaves_only_tables_that_the_application_filled() {
    let db = TestDatabase::empty().await;
    let before = schema(&db);
    migrate(&db, &[]).prints();
    migrate(&db, &["--revert", "--yes"]).prints();
    assert_same_schema(&before, &schema(&db));

    let (db, _) = adopt("").await;
    works(&db).await;
    let plan = migrate(&db, &["--revert", "--yes", "--format", "json"]).prints();
    let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
    let keeps = plan["keeps"].as_array().expect("a list");
    assert!(keeps.contains(&"public.profiles".into()), "{plan}");
    let left = "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'";
    insta::assert_snapshot!(db.text(left).await, @"chat_thread_participants chat_threads domain_events org_members orgs profiles projects resources");
    db.migrate().await;
}

/// The SQL that is printed, run by psql, makes what a migration makes; it changes nothing by itself.
#[tokio::test]
async fn what_is_printed_is_what_would_run() {
    let older = format!(
        "{APPLICATION}{OLDER_JOB}{ROWS}; INSERT INTO notifications (user_id, event_id, title) SELECT user_id, event_id, 'Old' FROM notifications"
    );
    for made in ["", &older] {
        let migrated = TestDatabase::empty().await;
        migrated.execute(made).await;
        let printed = TestDatabase::empty().await;
        printed.execute(made).await;
        let before = schema(&printed);
        let output = migrate(&printed, &["--print"]).prints();
        assert_eq!(schema(&printed), before);
        run_script(&printed, &output);
        migrated.migrate().await;
        // Grants of the tests' role are made by migrate() of the harness.
        let report = printed.migrate().await;
        let done = [&report.applied, &report.objects, &report.online.indexes].map(Vec::len);
        assert_eq!(done, [0, 0, 0], "{report:?}");
        assert_same_schema(&schema(&migrated), &schema(&printed));
        assert_eq!(printed.migrate().await, MigrateReport::default());
    }
}

/// A database that was migrated before that was recorded gives back what nobody else makes.
#[tokio::test]
async fn revert_after_an_earlier_version_removes_what_nobody_else_makes() {
    let (db, _) = adopt(&format!("{APPLICATION}{OLDER_JOB}")).await;
    db.execute(
        "DROP TABLE notify_fan_out_made; DELETE FROM notify_fan_out_migrations WHERE version = 11;
         UPDATE notify_fan_out_migrations SET installed_on = now() - interval '1 day'",
    )
    .await;
    let refused = migrate(&db, &["--revert", "--yes"]).fails(1);
    assert!(refused.contains("migrate first"), "{refused}");
    db.migrate().await;
    migrate(&db, &["--revert", "--yes"]).prints();
    let left = "SELECT c.relname || '.' || attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
         WHERE attnum > 0 AND NOT attisdropped AND (attname IN ('claim_token', 'coalesce_key', 'delivery_id') OR relname LIKE 'notification\\_%deliver%' AND relkind = 'r')";
    assert_eq!(db.texts(left).await, [""; 0]);
    db.execute(format!(
        "INSERT INTO domain_events (event_type, thread_id) VALUES ('a', '{}'); {OLDER_CLAIM}",
        id("thread", "Old")
    ))
    .await;
}

/// A support tool has tables of the same names, for another purpose: nothing is changed, and what to do is
/// said. In a schema of its own, with views for what is there, the job works.
#[tokio::test]
async fn tables_of_another_purpose_are_refused_with_a_way_out() {
    let db = TestDatabase::empty().await;
    db.execute(
        "CREATE TABLE permissions (id serial, role text, resource_id int);
         CREATE TABLE projects (id serial PRIMARY KEY, name text);
         CREATE TABLE people (id uuid PRIMARY KEY, email text, full_name text)",
    )
    .await;
    let before = schema(&db);
    let said = migrate(&db, &[]).fails(1);
    for part in [
        "projects.id is integer, expected uuid",
        "projects has no column owner_org_id (uuid)",
        "permissions has no column user_id (uuid)",
        "permissions.resource_id is integer, expected uuid",
        "CREATE VIEW notify.projects AS SELECT NULL::uuid AS id, NULL::text AS name, NULL::uuid AS owner_org_id WHERE false;",
        "options=-csearch_path%3Dnotify,public",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert_same_schema(&before, &schema(&db));
    db.execute("CREATE SCHEMA notify; CREATE VIEW notify.profiles AS SELECT id, email, full_name FROM people")
        .await;
    let url = db.superuser_url() + "&options=-csearch_path%3Dnotify";
    for command in ["migrate", "run", "doctor"] {
        binary_at(&url).arg(command).prints();
    }
    assert_eq!(db.count("pg_tables WHERE schemaname = 'public'").await, 3);
    // With a rule of its own, nobody reads permissions.
    db.execute(
        "DROP TABLE projects;
         CREATE FUNCTION can_view(uuid, uuid) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
    )
    .await;
    migrate(&db, &[]).prints();
    // What the job writes can't be declared away.
    let db = TestDatabase::empty().await;
    db.execute("CREATE TABLE domain_events (id uuid)").await;
    let said = migrate(&db, &[]).fails(1);
    assert!(
        said.contains("schema of its own") && !said.contains("CREATE VIEW"),
        "{said}"
    );
}

/// The statements that a command printed, to be run as they are.
fn statements(printed: &str) -> String {
    let lines = printed
        .lines()
        .filter_map(|line| line.find("CREATE ").map(|start| &line[start..]));
    lines.collect::<Vec<_>>().join("\n")
}

/// A support tool's `permissions` in the application's schema, and no meetings at all: what migrate prints is
/// done to the letter, and the job works as everywhere, also for the role of grants.sql.
#[tokio::test]
async fn what_is_not_needed_is_declared_as_printed() {
    let db = TestDatabase::empty().await;
    db.execute(format!(
        "{APPLICATION}{OLDER_JOB} DROP FUNCTION can_view; DROP TABLE permissions, meeting_participants, meetings;
         CREATE TABLE permissions (id serial, role text, resource_id int);
         INSERT INTO permissions (role, resource_id) VALUES ('agent', 1)"
    ))
    .await;
    let without_meetings = migrate(&db, &["--check"]).ends(6).stdout;
    let without_permissions = migrate(&db, &[]).fails(1);
    for said in [&without_meetings, &without_permissions] {
        let why = "permissions has no column user_id (uuid)";
        assert!(said.contains(why), "{said}");
    }
    let advised = statements(&without_permissions);
    insta::assert_snapshot!(advised, @"
    CREATE SCHEMA IF NOT EXISTS notify;
    CREATE VIEW notify.permissions AS SELECT NULL::uuid AS resource_id, NULL::uuid AS user_id, NULL::text AS permission WHERE false;
    ");
    let (_, tables) = without_meetings.split_once("  tables ").expect("a finding");
    let (tables, _) = tables.split_once("\nok ").expect("findings");
    insta::assert_snapshot!(statements(tables), @"
    CREATE VIEW meetings AS SELECT NULL::uuid AS id, NULL::text AS title, NULL::timestamptz AS start_time WHERE false;
    CREATE VIEW meeting_participants AS SELECT NULL::uuid AS meeting_id, NULL::uuid AS user_id WHERE false;
    ");
    run_script(&db, &format!("{advised}\n{}", statements(tables)));

    let options = without_permissions.split_once("options=");
    let (_, options) = options.expect("a parameter");
    let options = options.lines().next().expect("a line");
    let url = format!("{}&options={options}", db.superuser_url());
    binary_at(&url).arg("migrate").prints();
    binary_at(&url).args(["migrate", "--check"]).prints();
    assert_eq!(db.count("pg_views WHERE viewname LIKE 'meeting%'").await, 2);
    assert_eq!(db.count("pg_tables WHERE schemaname = 'notify'").await, 0);
    let role = Role::new(&db, "job");
    role.granted(&url, &[]);

    let mut world = db.world().await;
    let [ada, bo] = world.users(["Ada", "Bo"]).await;
    let [acme, atlas] = world.acme([ada]).await;
    let report = world.document("Report", acme, atlas).await;
    for url in [&url, &role.url] {
        world.uploaded(report, atlas).actor(bo).await;
        binary_at(url).arg("run").prints();
        binary_at(url).arg("doctor").prints();
    }
    let titles = format!("SELECT title FROM notifications WHERE user_id = '{ada}'");
    let titles = db.texts(titles).await;
    assert_eq!(titles, ["Bo uploaded Report to Atlas"; 2]);
}

/// What `migrate --check` says before an adoption; it changes nothing.
#[tokio::test]
async fn check_foresees_an_adoption() {
    let db = TestDatabase::empty().await;
    db.execute(format!(
        "{APPLICATION}{OLDER_JOB}{ROWS};
         INSERT INTO notifications (user_id, event_id, title) SELECT user_id, event_id, 'Old' FROM notifications;
         CREATE FUNCTION get_pending_notification_events(p_limit int) RETURNS SETOF bigint LANGUAGE sql AS 'SELECT 1::bigint';
         CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER tell AFTER INSERT ON domain_events FOR EACH ROW EXECUTE FUNCTION tell();
         ALTER TABLE notifications ADD kind text NOT NULL DEFAULT 'x';
         ALTER TABLE notifications ALTER kind DROP DEFAULT"
    ))
    .await;
    let before = schema(&db);
    let said = migrate(&db, &["--check"]).ends(6).stdout;
    let (_, findings) = said.split_once('\n').expect("lines");
    insta::assert_snapshot!(findings, @"
    ok       columns     the tables that exist have the columns that are read
    problem  columns     notifications.kind is NOT NULL without a default, and the job does not write it: every event fails
                         → give it a default, or: ALTER TABLE notifications ALTER kind DROP NOT NULL
    ok       privileges  the role may migrate
    ok       functions   belong to the application and stay as they are: function can_view(uuid, uuid), function get_pending_notification_events(integer), trigger tell on domain_events
    warn     older job   its rows in notification_processing: completed 1, failed 1, pending 1
                         → stop that job before migrate: this job then processes what is pending or processing
    ok       events      3 have no processing row: 2 would become pending, 1 failed (expired)
    ok       duplicates  1 pairs of event and person have several rows in notifications: they stay, and new ones are kept unique
    ");
    assert_same_schema(&before, &schema(&db));
    migrate(&db, &[]).prints();
    let doctor = db.binary_as_owner().arg("doctor").output();
    let doctor = String::from_utf8(doctor.expect("the program").stdout);
    let kind = "notifications.kind is NOT NULL without a default";
    assert!(doctor.expect("text").contains(kind));
}

/// The error of a role that owns nothing names the owner.
#[tokio::test]
async fn role_that_may_not_migrate_is_shown_the_owner() {
    let server = Server::start();
    let db = TestDatabase::empty_on(&server).await;
    db.execute(format!(
        "CREATE ROLE app_owner; CREATE ROLE visitor LOGIN; {APPLICATION}{OLDER_JOB}
         ALTER TABLE domain_events OWNER TO app_owner; ALTER TABLE notifications OWNER TO app_owner;
         GRANT CREATE ON SCHEMA public TO visitor"
    ))
    .await;
    let url = server.url_as("visitor", db.name());
    let said = binary_at(&url).arg("migrate").fails(1);
    assert!(
        said.contains("visitor is not") && said.contains("domain_events belongs to app_owner"),
        "{said}"
    );
    assert!(!said.contains("at line"), "{said}");
    let mut check = binary_at(&url);
    let check = check.args(["migrate", "--check"]).ends(6).stdout;
    let owner = "notifications belongs to app_owner";
    assert!(check.contains(owner), "{check}");
}
