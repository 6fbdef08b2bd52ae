//! Databases that were in service before the job: each way in which they differ, and that nothing
//! of theirs is rewritten.

mod backlog;
mod objects;

use std::collections::BTreeSet;

use notify_fan_out::db::migrate::MigrateReport;
use uuid::Uuid;

use crate::harness::{Summary as _, TestDatabase, id};

/// The application's own tables, which look much the same everywhere.
pub(crate) const APPLICATION: &str = "
    CREATE TABLE profiles (id uuid PRIMARY KEY, email text, full_name text, avatar text);
    CREATE TABLE orgs (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, plan text);
    CREATE TABLE org_members (org_id uuid REFERENCES orgs, user_id uuid, role varchar(20), PRIMARY KEY (org_id, user_id));
    CREATE TABLE projects (id uuid PRIMARY KEY, name text NOT NULL, owner_org_id uuid REFERENCES orgs);
    CREATE TABLE project_access_grants (id serial PRIMARY KEY, project_id uuid, user_id uuid, UNIQUE (project_id, user_id));
    CREATE TABLE resources (id uuid PRIMARY KEY, org_id uuid, project_id uuid, name text);
    CREATE TABLE permissions (resource_id uuid, user_id uuid, permission text);
    CREATE TABLE chat_threads (id uuid PRIMARY KEY, project_id uuid, topic text);
    CREATE TABLE chat_thread_participants (thread_id uuid, user_id uuid, last_read_at timestamptz);
    CREATE TABLE meetings (id uuid PRIMARY KEY, title text, start_time timestamptz, project_id uuid);
    CREATE TABLE meeting_participants (meeting_id uuid, user_id uuid);
    CREATE TABLE user_notification_preferences (id serial, user_id uuid, scope_type text, scope_id uuid,
        event_type text, channel text, status text, UNIQUE (user_id, scope_type, scope_id, event_type, channel));
    CREATE FUNCTION can_view(p_user_id uuid, p_resource_id uuid) RETURNS boolean LANGUAGE plpgsql AS
        $$ BEGIN RETURN true; END $$;";

/// The events and what an older job made of them.
pub(crate) const OLDER_JOB: &str = "
    CREATE TABLE domain_events (id bigserial PRIMARY KEY, event_type text NOT NULL, actor_id uuid,
        project_id uuid, org_id uuid, resource_id uuid, thread_id uuid, meeting_id uuid, payload jsonb,
        occurred_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE notification_processing (event_id bigint PRIMARY KEY REFERENCES domain_events ON DELETE CASCADE,
        processing_status text NOT NULL DEFAULT 'pending', processor_id text, claimed_at timestamptz,
        completed_at timestamptz, retry_count int DEFAULT 0, error_message text, created_at timestamptz DEFAULT now());
    CREATE TABLE notifications (id bigserial PRIMARY KEY, user_id uuid NOT NULL, event_id bigint REFERENCES domain_events ON DELETE CASCADE,
        title text NOT NULL, body text, link_url text, payload jsonb DEFAULT '{}', read_at timestamptz, created_at timestamptz DEFAULT now());
    CREATE TABLE pending_emails (id bigserial PRIMARY KEY, user_id uuid, event_id bigint, event_type text,
        delivery_type text, project_id uuid, project_name text, subject text, body_data jsonb,
        status text DEFAULT 'pending', created_at timestamptz DEFAULT now(), processed_at timestamptz,
        UNIQUE (event_id, user_id));";

/// Where each row of theirs lies, and who wrote it when.
async fn places(db: &TestDatabase<'_>) -> BTreeSet<String> {
    let tables = db
        .texts(
            "SELECT format('%s %I.%I', relfilenode, nspname, relname)
               FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
              WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema')",
        )
        .await;
    let mut places = BTreeSet::new();
    for table in tables {
        let (file, name) = table.split_once(' ').expect("two words");
        let rows = db
            .texts(&format!(
                "SELECT concat_ws(' ', '{name}', '{file}', ctid, xmin) FROM {name}"
            ))
            .await;
        places.extend(rows);
    }
    places
}

/// Migrates a database that was made so; twice, which must do nothing more.
pub(crate) async fn adopt(made: &str) -> (TestDatabase<'static>, MigrateReport) {
    let db = TestDatabase::empty().await;
    db.execute(made).await;
    let before = places(&db).await;
    let report = db.migrate().await;
    let after = places(&db).await;
    let gone: Vec<_> = before.difference(&after).collect();
    assert!(gone.is_empty(), "rewritten: {gone:#?}");
    assert_eq!(db.migrate().await, MigrateReport::default());
    assert_eq!(places(&db).await, after);
    (db, report)
}

/// How many events became pending, and failed because of their age.
fn backfilled(report: &MigrateReport) -> (u64, u64) {
    let online = &report.online;
    (online.backfilled_pending, online.backfilled_expired)
}

/// The job works: a message is counted, an access is notified and e-mailed.
pub(crate) async fn works(db: &TestDatabase<'_>) {
    let mut world = db.world().await;
    let [ada, bo] = world.users(["Ada", "Bo"]).await;
    let [acme, atlas] = world.acme([ada]).await;
    let report = world.document("Report", acme, atlas).await;
    let budget = world.thread("Budget", [ada, bo]).await;
    for _ in 0..2 {
        world.message(budget).actor(ada).await;
    }
    world.granted(bo, atlas).actor(ada).await;
    world.uploaded(report, atlas).actor(bo).await;
    let done = db.run().await;
    assert_eq!((done.events, done.failed, done.retried), (4, 0, 0));
    let titles = "SELECT title FROM notifications WHERE title NOT LIKE 'Old%' ORDER BY title";
    assert_eq!(
        db.texts(titles).await,
        [
            "2 unread in Budget",
            "Ada gave you view access to Atlas",
            "Bo uploaded Report to Atlas"
        ]
    );
    let emails = "pending_emails WHERE subject NOT LIKE 'Old%'";
    assert_eq!(db.count(emails).await, 2);
    assert!(db.run().await.is_idle());
    db.prints("run --dry-run");
}

/// Tables of the application may be views, over tables of other names and even such that repeat
/// people.
const VIEWS: &str = "
    ALTER TABLE profiles RENAME TO people;
    CREATE VIEW profiles AS SELECT id, email, full_name FROM people;
    ALTER TABLE chat_thread_participants RENAME TO seats;
    CREATE VIEW chat_thread_participants AS SELECT thread_id, user_id, last_read_at FROM seats UNION ALL SELECT * FROM seats;
    CREATE RULE seat AS ON INSERT TO chat_thread_participants DO INSTEAD
        INSERT INTO seats (thread_id, user_id) VALUES (NEW.thread_id, NEW.user_id);
    ALTER TABLE org_members RENAME TO staff;
    CREATE VIEW org_members AS SELECT * FROM staff";

const NOTIFICATIONS_WITHOUT_PAYLOAD: &str = "
    ALTER TABLE notifications DROP COLUMN payload;
    INSERT INTO domain_events (event_type) VALUES ('old');
    INSERT INTO notification_processing (event_id, processing_status) VALUES (1, 'completed');
    INSERT INTO notifications (user_id, event_id, title) VALUES (gen_random_uuid(), 1, 'Old one')";

#[tokio::test]
async fn all_some_or_none_of_the_applications_tables_are_there() {
    for made in [
        "",
        APPLICATION,
        &format!("{APPLICATION}{OLDER_JOB}"),
        &format!("{APPLICATION}{OLDER_JOB}{VIEWS}"),
        &format!("{APPLICATION}{OLDER_JOB}{NOTIFICATIONS_WITHOUT_PAYLOAD}"),
        "CREATE TABLE people (id uuid PRIMARY KEY, email text, full_name text);
         CREATE VIEW profiles AS SELECT * FROM people",
    ] {
        let (db, report) = adopt(made).await;
        assert!(!report.applied.is_empty() && !report.online.indexes.is_empty());
        works(&db).await;
    }
}

/// People are those of another schema; a person without a profile is skipped.
#[tokio::test]
async fn people_refer_to_auth_users() {
    let (db, _) = adopt(&format!(
        "{APPLICATION}
         CREATE SCHEMA auth; CREATE TABLE auth.users (id uuid PRIMARY KEY);
         CREATE FUNCTION auth.same() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO auth.users VALUES (NEW.id); RETURN NEW; END $$;
         CREATE TRIGGER same BEFORE INSERT ON profiles FOR EACH ROW EXECUTE FUNCTION auth.same();
         ALTER TABLE profiles ADD FOREIGN KEY (id) REFERENCES auth.users ON DELETE CASCADE;
         {OLDER_JOB}
         ALTER TABLE domain_events ADD FOREIGN KEY (actor_id) REFERENCES auth.users;
         ALTER TABLE notifications ADD FOREIGN KEY (user_id) REFERENCES auth.users ON DELETE CASCADE;
         ALTER TABLE pending_emails ADD FOREIGN KEY (user_id) REFERENCES auth.users ON DELETE CASCADE;
         INSERT INTO auth.users VALUES ('{}')",
        Uuid::nil()
    ))
    .await;
    works(&db).await;
    let mut world = db.world().await;
    for person in [Uuid::nil(), Uuid::max()] {
        world.revoked(person).await;
    }
    assert_eq!(db.run().await.summary(), "events=2 suppressed=2");
}

/// Rows that an older job doubled stay; from then on there is a wall.
#[tokio::test]
async fn doubled_rows_stay_and_no_others_are_doubled() {
    let (db, report) = adopt(&format!(
        "{APPLICATION}{OLDER_JOB}
         ALTER TABLE pending_emails DROP CONSTRAINT pending_emails_event_id_user_id_key;
         INSERT INTO domain_events (event_type) VALUES ('old');
         INSERT INTO notification_processing (event_id, processing_status) VALUES (1, 'completed');
         INSERT INTO notifications (user_id, event_id, title) SELECT '{0}', 1, 'Old ' || n FROM generate_series(1, 3) AS n;
         INSERT INTO pending_emails (user_id, event_id, subject) SELECT '{0}', 1, 'Old ' || n FROM generate_series(1, 3) AS n",
        Uuid::nil()
    ))
    .await;
    for index in [
        "notifications_event_user_key",
        "notifications_event_user_idx",
        "pending_emails_event_user_key",
    ] {
        let is_built = report.online.indexes.iter().any(|built| built == index);
        assert!(is_built, "{index} in {report:?}");
    }
    works(&db).await;
    assert_eq!(db.count("notifications WHERE title LIKE 'Old%'").await, 3);
    let again = "INSERT INTO notifications (user_id, event_id, title) SELECT user_id, event_id, title FROM notifications WHERE title NOT LIKE 'Old%'";
    let refused = db.hold("").await.try_execute(again).await;
    let refused = refused.expect_err("doubled").to_string();
    let by = "notifications_event_user_key";
    assert!(refused.contains(by), "{refused}");
}

/// Indexes of their own, also under our names; row level security that is on, with rules; tables
/// in a publication.
#[tokio::test]
async fn other_indexes_row_level_security_and_a_publication() {
    let (db, report) = adopt(&format!(
        "{APPLICATION}{OLDER_JOB}
         CREATE UNIQUE INDEX one_each ON notifications (user_id, event_id);
         CREATE INDEX ON notifications (created_at);
         CREATE INDEX redundant ON notification_processing (event_id);
         CREATE INDEX by_status ON notification_processing (processing_status);
         ALTER TABLE notifications ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own ON notifications FOR SELECT USING (user_id::text = current_setting('me', true));
         CREATE PUBLICATION everything FOR ALL TABLES"
    ))
    .await;
    // Theirs does.
    let ours = "notifications_event_user_key".to_owned();
    assert!(!report.online.indexes.contains(&ours), "{report:?}");
    works(&db).await;
    let theirs = "pg_policies WHERE policyname = 'own'";
    assert_eq!(db.count(theirs).await, 1);
    let theirs = "pg_class WHERE relname IN ('redundant', 'by_status', 'one_each')";
    assert_eq!(db.count(theirs).await, 3);
}

/// A function of theirs that answers for many documents at once is the one that is asked.
#[tokio::test]
async fn can_view_many_of_the_application_is_asked() {
    let (db, _) = adopt(&format!(
        "{APPLICATION}
         CREATE FUNCTION can_view_many(people uuid[], documents uuid[]) RETURNS TABLE (user_id uuid, resource_id uuid)
         LANGUAGE sql STABLE AS
            $$ SELECT p, d FROM unnest(people, documents) AS asked (p, d) WHERE p = '{}' $$",
        id("user", "Ada"),
    ))
    .await;
    // Ada owns the organisation; Cy does as well, and is not named.
    let mut world = db.world().await;
    let cy = world.user("Cy").await;
    works(&db).await;
    let (acme, atlas) = (id("org", "Acme"), id("project", "Atlas"));
    world.members(acme, "owner", [cy]).await;
    let plan = world.document("Plan", acme, atlas).await;
    world.uploaded(plan, atlas).await;
    let done = db.run().await;
    assert_eq!((done.notifications, done.suppressed), (1, 1));
    let of_cy = format!("notifications WHERE user_id = '{cy}'");
    assert_eq!(db.count(of_cy).await, 0);
}

/// The application has a schema of its own, first or second on the search path: the service's
/// tables stand beside its events, and nothing is shadowed.
#[tokio::test]
async fn a_schema_of_its_own() {
    for path in ["app, public", "public, app", "\"$user\", extensions, app"] {
        let db = TestDatabase::empty().await;
        db.execute(format!(
            "ALTER DATABASE {} SET search_path = {path}; CREATE SCHEMA app; CREATE SCHEMA extensions;
             GRANT USAGE ON SCHEMA app TO PUBLIC",
            db.name()
        ))
        .await;
        db.execute(format!("SET search_path = app; {APPLICATION}{OLDER_JOB} DROP TABLE pending_emails, notification_processing")).await;
        let before = places(&db).await;
        db.migrate().await;
        assert_eq!(db.migrate().await, MigrateReport::default(), "{path}");
        assert!(places(&db).await.is_superset(&before));
        let tables = db.texts("SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'app') AND tablename <> 'notify_fan_out_migrations'").await;
        assert!(tables.is_empty(), "{path}: tables in {tables:?}");
        works(&db).await;
    }
}

/// A migration that was killed in the middle is completed by the next.
#[tokio::test]
async fn interrupted_migration_is_completed_by_the_next() {
    let db = TestDatabase::new().await;
    db.execute(
        "DROP INDEX notification_processing_due_idx; DROP INDEX notifications_event_user_key;
         INSERT INTO domain_events (event_type) VALUES ('old');
         DELETE FROM notification_processing;
         -- As an interrupted concurrent build leaves it.
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'notifications_coalesce_key'::regclass",
    )
    .await;
    let report = db.migrate().await;
    let mut indexes = report.online.indexes;
    indexes.sort();
    assert_eq!(
        indexes,
        [
            "notification_processing_due_idx",
            "notifications_coalesce_key",
            "notifications_event_user_key"
        ]
    );
    assert_eq!(report.applied, [""; 0]);
    assert_eq!(report.online.backfilled_pending, 1);
    works(&db).await;
}

/// Two that migrate at the same time do it once, while writers go on, and in spite of a long reader.
#[tokio::test]
async fn migration_may_run_beside_another_and_the_application() {
    let db = TestDatabase::empty().await;
    db.execute(format!("{APPLICATION}{OLDER_JOB}")).await;
    // In the way of the catalogue changes for a moment.
    let hold = db
        .hold("SELECT FROM domain_events; INSERT INTO domain_events (event_type) VALUES ('old')")
        .await;
    let (one, other, ()) = tokio::join!(db.migrate(), db.migrate(), async {
        db.until_waiting(1).await;
        hold.release().await;
    });
    let applied = [&one, &other].map(|report| report.applied.len());
    assert!(applied.contains(&0) && applied != [0, 0], "{applied:?}");
    assert_eq!(backfilled(&one).0 + backfilled(&other).0, 1);
    assert_eq!(db.migrate().await, MigrateReport::default());
    works(&db).await;
}
