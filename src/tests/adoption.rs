//! Databases that were in service before the job: each way in which they differ, and that nothing
//! of theirs is rewritten.

use std::collections::BTreeSet;

use notify_fan_out::db::migrate::MigrateReport;
use uuid::Uuid;

use crate::harness::{RunCommand as _, Server, Summary as _, TestDatabase, id};

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

/// Without `occurred_at` the time of creation tells which events are too old to tell of now.
#[tokio::test]
async fn age_is_told_by_created_at_where_there_is_no_occurred_at() {
    let (db, report) = adopt(&format!(
        "{APPLICATION}
         CREATE TABLE domain_events (id bigserial PRIMARY KEY, event_type text NOT NULL, actor_id uuid,
            project_id uuid, resource_id uuid, thread_id uuid, meeting_id uuid, payload jsonb,
            created_at timestamptz NOT NULL DEFAULT now());
         INSERT INTO meetings VALUES ('{0}', 'Old', now(), NULL);
         INSERT INTO domain_events (event_type, meeting_id, created_at)
         SELECT 'meeting_updated', '{0}', now() - n * interval '10 h' FROM generate_series(0, 4) AS n",
        id("meeting", "Old")
    ))
    .await;
    assert_eq!(backfilled(&report), (3, 2));
    let done = db.run().await;
    assert_eq!((done.events, done.expired), (3, 0));
    // Of 0, 10 and 20 hours.
    let all = done.latencies.sum;
    assert!((107_900.0..108_300.0).contains(&all), "{all}");
    assert_eq!(db.standings().await, "completed=3 failed=2");
    works(&db).await;
}

/// An older application goes on inserting without naming the new columns, and a payload may be
/// NULL.
#[tokio::test]
async fn events_without_org_id_and_with_null_payloads() {
    let (db, _) = adopt(&format!(
        "{APPLICATION}
         CREATE TABLE domain_events (id serial PRIMARY KEY, event_type varchar(50) NOT NULL, actor_id uuid,
            project_id uuid, resource_id uuid, thread_id uuid, meeting_id uuid, payload jsonb,
            created_at timestamptz DEFAULT now());"
    ))
    .await;
    works(&db).await;
    let [ada, bo] = ["Ada", "Bo"].map(|name| id("user", name));
    db.execute(format!(
        "INSERT INTO domain_events (event_type, actor_id, thread_id, payload)
         VALUES ('chat_message_sent', '{ada}', '{0}', NULL), ('chat_message_sent', '{ada}', '{0}', 'null');
         INSERT INTO domain_events (event_type, payload) VALUES ('meeting_reminder', NULL);
         INSERT INTO domain_events (event_type, actor_id, payload) VALUES ('invite_accepted', '{bo}', '{{\"org_id\": \"{1}\"}}')",
        id("thread", "Budget"),
        id("org", "Acme"),
    ))
    .await;
    insta::assert_snapshot!(db.run().await.summary(), @"events=3 notifications=1 merged=2 emails=1 failed=1");
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

/// What an older job left at each status: what it has settled stays so, what it has not is settled
/// now, and what it never saw as well.
#[tokio::test]
async fn what_an_older_job_left_is_settled_unless_it_was() {
    let (db, report) = adopt(&format!(
        "{APPLICATION}{OLDER_JOB}
         CREATE INDEX redundant ON notification_processing (event_id);
         INSERT INTO meetings VALUES ('{0}', 'Old', now(), NULL);
         INSERT INTO domain_events (event_type, meeting_id, occurred_at)
         SELECT 'meeting_updated', '{0}', now() - interval '1 h' FROM generate_series(1, 6);
         INSERT INTO notification_processing (event_id, processing_status, processor_id, claimed_at, completed_at, retry_count, error_message)
         VALUES (1, 'pending', NULL, NULL, NULL, 0, NULL), (2, 'processing', 'older', now() - interval '1 h', NULL, 2, NULL),
                (3, 'processing', NULL, NULL, NULL, NULL, NULL), (4, 'completed', 'older', now(), now(), 0, NULL),
                (5, 'failed', 'older', now(), NULL, 3, 'boom');
         UPDATE notification_processing SET created_at = now() - interval '1 h'",
        id("meeting", "Old")
    ))
    .await;
    assert_eq!(backfilled(&report), (1, 0));
    let done = db.run().await;
    assert_eq!((done.events, done.rescued), (4, 2));
    let states = db.texts("SELECT concat_ws(' ', event_id, processing_status, error_message) FROM notification_processing ORDER BY event_id").await;
    insta::assert_snapshot!(states.join("\n"), @"
    1 completed
    2 completed
    3 completed
    4 completed
    5 failed boom
    6 completed
    ");
    works(&db).await;
}

/// Rows that the back-fill makes have their thread; those of an older job do without, and both are
/// settled.
#[tokio::test]
async fn threads_of_events_that_wait() {
    let (db, report) = adopt(&format!(
        "{APPLICATION}{OLDER_JOB}
         INSERT INTO chat_threads VALUES ('{0}', NULL, 'Old'), ('{1}', NULL, 'Older');
         INSERT INTO domain_events (event_type, thread_id)
         VALUES ('chat_message_sent', '{0}'), ('chat_message_sent', '{1}'), ('chat_message_sent', '{0}');
         INSERT INTO notification_processing (event_id) VALUES (2);
         INSERT INTO domain_events (event_type, thread_id, occurred_at)
         VALUES ('chat_message_sent', '{1}', now() - interval '2 days'), ('meeting_updated', NULL, now() - interval '2 days')",
        id("thread", "Old"),
        id("thread", "Older"),
    ))
    .await;
    assert_eq!(backfilled(&report), (2, 2));
    let threads = "SELECT event_id || ' ' || coalesce(topic, '-') FROM notification_processing LEFT JOIN chat_threads ON id = thread_id ORDER BY event_id";
    assert_eq!(
        db.texts(threads).await,
        ["1 Old", "2 -", "3 Old", "4 Older", "5 -"]
    );
    assert_eq!(db.run().await.events, 3);
    works(&db).await;
}

/// Where threads have identifiers of another type the job can't tell anybody of them; but whoever
/// writes events is not to fail for that.
#[tokio::test]
async fn threads_that_are_no_uuids_hinder_no_writer() {
    let (db, report) = adopt(&format!(
        "{APPLICATION}{OLDER_JOB}
         ALTER TABLE domain_events ALTER thread_id TYPE text;
         INSERT INTO domain_events (event_type, thread_id) VALUES ('old', 'thread 1'), ('old', '{}')",
        id("thread", "Old"),
    ))
    .await;
    assert_eq!(report.online.backfilled_pending, 2);
    db.execute(
        "INSERT INTO domain_events (event_type, thread_id) VALUES ('new', 'thread 2'), ('new', gen_random_uuid()::text)",
    )
    .await;
    let pending =
        "notification_processing WHERE processing_status = 'pending' AND thread_id IS NULL";
    assert_eq!(db.count(pending).await, 4);
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

/// Older tables may demand what they have no default for, and rows may lack a status.
#[tokio::test]
async fn columns_without_defaults_are_filled() {
    let old = id("meeting", "Old");
    let event = format!(
        "INSERT INTO domain_events (event_type, meeting_id) VALUES ('meeting_updated', '{old}')"
    );
    let meeting = format!("INSERT INTO meetings VALUES ('{old}', 'Old', now(), NULL)");
    let (db, report) = adopt(&format!(
        "{APPLICATION}{OLDER_JOB} {meeting};
         DROP TABLE notification_processing;
         CREATE TABLE notification_processing (event_id bigint PRIMARY KEY, processing_status text NOT NULL,
            retry_count int NOT NULL, created_at timestamptz NOT NULL, next_attempt_at timestamptz NOT NULL);
         {event}"
    ))
    .await;
    assert_eq!(report.online.backfilled_pending, 1);
    db.execute(event.clone()).await;
    assert_eq!(db.run().await.events, 2);
    works(&db).await;

    let db = TestDatabase::empty().await;
    db.execute(format!(
        "{APPLICATION}{OLDER_JOB} {meeting};
         ALTER TABLE notification_processing ALTER processing_status DROP NOT NULL, ALTER processing_status DROP DEFAULT;
         {event}; INSERT INTO notification_processing (event_id) VALUES (1)"
    ))
    .await;
    db.migrate().await;
    db.execute(event).await;
    assert_eq!(db.standings().await, "pending=2");
    assert_eq!(db.run().await.events, 2);
    works(&db).await;
}

/// However a nudge was sent and its tier was written, the handler knows it again.
#[tokio::test]
async fn nudges_that_an_older_job_sent_are_not_sent_again() {
    let [olga, atlas] = [id("user", "Olga"), id("project", "Atlas")];
    let nudge = |tier: &str| {
        format!(
            r#"{{"user_id": "{olga}", "resume_type": "project", "completion_percent": 10, "nudge_tier": {tier}}}"#
        )
    };
    let (db, report) = adopt(&format!(
        "{APPLICATION}{OLDER_JOB}
         CREATE TYPE kind AS ENUM ('resume_incomplete_nudge', 'chat_message_sent', 'project_access_granted', 'document_uploaded');
         ALTER TABLE domain_events ALTER event_type TYPE kind USING event_type::kind;
         INSERT INTO domain_events (event_type, project_id, payload) VALUES
            ('resume_incomplete_nudge', '{atlas}', '{0}'), ('resume_incomplete_nudge', '{atlas}', '{1}'),
            ('resume_incomplete_nudge', '{atlas}', '{2}'), ('resume_incomplete_nudge', '{atlas}', '{2}'),
            ('resume_incomplete_nudge', '{atlas}', '[]');
         INSERT INTO notification_processing (event_id, processing_status) SELECT n, 'completed' FROM generate_series(1, 5) AS n;
         INSERT INTO pending_emails (user_id, event_id, subject) SELECT '{olga}', n, 'Old' FROM generate_series(1, 2) AS n;
         INSERT INTO notifications (user_id, event_id, title) SELECT '{olga}', n, 'Old' FROM generate_series(3, 5) AS n",
        nudge("1.0"),
        nudge(r#"" second\n""#),
        nudge("3"),
    ))
    .await;
    assert_eq!(report.online.backfilled_once, 3);
    let mut world = db.world().await;
    let olga = world.user("Olga").await;
    let [_, atlas] = world.acme([olga]).await;
    for tier in ["1", "\"second\"", "3.0", "4"] {
        let payload = nudge(tier).parse().expect("JSON");
        world.nudge(olga, atlas, 0).payload(payload).await;
    }
    let done = db.run().await.summary();
    assert_eq!(done, "events=4 notifications=1 emails=1 suppressed=3");
}

/// Functions of the application that have the names of ours, or of those that we had, stay as they
/// are, and so do comments.
#[tokio::test]
async fn functions_and_comments_of_the_application_stay() {
    let functions = "SELECT p.oid || pg_get_functiondef(p.oid) || coalesce(obj_description(p.oid), '')
        FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
         AND proname IN ('get_pending_notification_events', 'enqueue_domain_events', 'close_read_notification', 'can_view', 'can_view_many')
       ORDER BY 1";
    let comments =
        "SELECT concat_ws(' ', objoid::regclass, objsubid, description) FROM pg_description
        WHERE classoid = 'pg_class'::regclass AND description LIKE 'Theirs%' ORDER BY 1";
    for arguments in [
        "p_limit integer",
        "p_limit integer DEFAULT 10, p_type text DEFAULT NULL",
    ] {
        let db = TestDatabase::empty().await;
        db.execute(format!(
            "{APPLICATION}{OLDER_JOB}
             CREATE FUNCTION get_pending_notification_events({arguments})
             RETURNS TABLE (event_id bigint, event_type text, retries int)
             LANGUAGE sql SECURITY DEFINER SET search_path TO public AS $$
                SELECT e.id, e.event_type, 0 FROM domain_events e
                  LEFT JOIN notification_processing p ON p.event_id = e.id WHERE p.event_id IS NULL LIMIT p_limit $$;
             COMMENT ON FUNCTION get_pending_notification_events IS 'Theirs';
             CREATE FUNCTION enqueue_domain_events() RETURNS void LANGUAGE sql AS 'SELECT';
             CREATE FUNCTION close_read_notification() RETURNS void LANGUAGE sql AS 'SELECT';
             CREATE FUNCTION can_view_many(uuid[], uuid[]) RETURNS TABLE (user_id uuid, resource_id uuid)
             LANGUAGE sql AS 'SELECT unnest($1), unnest($2)';
             COMMENT ON TABLE notification_processing IS 'Theirs';
             COMMENT ON COLUMN notification_processing.retry_count IS 'Theirs';
             COMMENT ON COLUMN notifications.event_id IS 'Theirs';
             ALTER TABLE pending_emails ADD status_reason text;
             COMMENT ON COLUMN pending_emails.status_reason IS 'Theirs'"
        ))
        .await;
        let before = [db.texts(functions).await, db.texts(comments).await];
        assert_eq!(before.each_ref().map(Vec::len), [5, 4]);
        db.migrate().await;
        let after = [db.texts(functions).await, db.texts(comments).await];
        assert_eq!(after, before);
        assert_eq!(db.migrate().await, MigrateReport::default());
        works(&db).await;
        db.execute("SELECT FROM notify_fan_out_pending(1)").await;
        db.prints("migrate --check");
    }
}

/// Comments are set on what is made, and on nothing else.
#[tokio::test]
async fn only_what_was_added_gets_comments() {
    let (db, _) = adopt(&format!("{APPLICATION}{OLDER_JOB}")).await;
    let commented = db
        .texts(
            "SELECT attrelid::regclass || '.' || attname FROM pg_description JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid
              WHERE classoid = 'pg_class'::regclass AND attrelid IN ('notification_processing'::regclass, 'notifications'::regclass, 'pending_emails'::regclass)
              ORDER BY attrelid::regclass::text, attnum",
        )
        .await;
    insta::assert_snapshot!(commented.join("\n"), @"
    notification_processing.occurred_at
    notification_processing.next_attempt_at
    notification_processing.claim_token
    notification_processing.retried_at
    notification_processing.unhandled_type
    notification_processing.thread_id
    notifications.updated_at
    notifications.coalesce_key
    notifications.coalesce_count
    pending_emails.delivery_id
    pending_emails.has_notification
    pending_emails.status_reason
    ");
}

/// A database that was migrated by the first texts of the migrations goes on, and gets the functions
/// and triggers of this version in the place of those.
#[tokio::test]
async fn earlier_version_is_brought_up_to_date() {
    let (db, _) = adopt(&format!("{APPLICATION}{OLDER_JOB}")).await;
    db.execute(
        "UPDATE notify_fan_out_migrations SET checksum = decode(CASE version
            WHEN 4 THEN 'ba1f18a1b074251604a2837c6c0e9ab445a706688a8940e2823ae8a46b928ad9c9014be601b568823e4b44c1293c94b9'
            ELSE '1c2b3a6fa9a8221e52be2cfef1a40e794e578d268aa0d78d520fec16dd7a70d415cf9cd5023242ebd741850c87050781' END, 'hex')
          WHERE version IN (3, 4);
         CREATE FUNCTION enqueue_domain_events() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         DROP TRIGGER notify_fan_out_enqueue ON domain_events; DROP FUNCTION notify_fan_out_enqueue, notify_fan_out_pending;
         CREATE TRIGGER notify_fan_out_enqueue AFTER INSERT ON domain_events REFERENCING NEW TABLE AS inserted
            FOR EACH STATEMENT EXECUTE FUNCTION enqueue_domain_events();
         CREATE OR REPLACE FUNCTION get_pending_notification_events(p_limit integer DEFAULT 100)
RETURNS TABLE (event_id bigint, event_type text, occurred_at timestamptz, next_attempt_at timestamptz,
    retry_count integer, error_message text, payload jsonb)
LANGUAGE sql STABLE AS $body$
    SELECT p.event_id, e.event_type::text, coalesce(p.occurred_at, e.occurred_at),
           p.next_attempt_at, p.retry_count, p.error_message, e.payload
      FROM notification_processing p
      JOIN domain_events e ON e.id = p.event_id
     WHERE p.processing_status = 'pending' AND p.next_attempt_at <= now()
     ORDER BY p.next_attempt_at, p.event_id
     LIMIT p_limit
$body$;
         GRANT EXECUTE ON FUNCTION can_view_many TO PUBLIC",
    )
    .await;
    let report = db.migrate().await;
    assert_eq!(report.applied, [""; 0]);
    insta::assert_snapshot!(report.objects.join("\n"), @"
    function can_view_many(uuid[], uuid[])
    function notify_fan_out_enqueue()
    trigger notify_fan_out_enqueue on public.domain_events
    function notify_fan_out_pending(integer)
    function get_pending_notification_events(integer)
    ");
    let former = "pg_proc WHERE proname = 'enqueue_domain_events'";
    assert_eq!(db.count(former).await, 0);
    assert_eq!(db.migrate().await, MigrateReport::default());
    works(&db).await;
    db.execute("UPDATE notify_fan_out_migrations SET checksum = 'x' WHERE version = 3")
        .await;
    db.binary_as_owner().arg("migrate").fails(1);
}

/// What an application may replace is known by its body. Where a body changes, its former sum belongs
/// into the list of earlier ones in src/db/objects.rs, else migrate takes it for the application's.
#[tokio::test]
async fn known_bodies_of_replaceable_functions_are_listed() {
    let db = TestDatabase::new().await;
    let sums = db
        .texts(
            "SELECT proname || ' ' || md5(prosrc) FROM pg_proc
              WHERE proname IN ('can_view', 'can_view_many', 'get_pending_notification_events') ORDER BY 1",
        )
        .await;
    insta::assert_snapshot!(sums.join("\n"), @"
    can_view 352ef822b8befaffc1c77dad305cd4fc
    can_view_many 7176d579dc53fe7984d51d7c3e04b5a2
    get_pending_notification_events f1c8c60a95488e722c8f8e79f578fd9d
    ");
}

/// Nobody may call a function of ours but its owner and whom grants.sql names, also where default
/// privileges open each new one; and each finds its tables on a search path of its own.
#[tokio::test]
async fn functions_are_closed_and_pinned() {
    let server = Server::start();
    let db = TestDatabase::empty_on(&server).await;
    db.execute(
        "CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE service_role;
         ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO anon, authenticated",
    )
    .await;
    db.migrate().await;
    let open = "SELECT proname FROM pg_proc CROSS JOIN aclexplode(coalesce(proacl, acldefault('f', proowner))) AS a
         WHERE pronamespace = 'public'::regnamespace AND NOT a.grantee = ANY (ARRAY[proowner, 'notify_fan_out'::regrole])";
    assert_eq!(db.texts(open).await, [""; 0]);
    let unpinned = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND NOT coalesce(array_to_string(proconfig, ' ') LIKE '%search_path=%pg_temp%', false)";
    assert_eq!(db.texts(unpinned).await, [""; 0]);
    let functions = "pg_proc WHERE pronamespace = 'public'::regnamespace";
    assert_eq!(db.count(functions).await, 6);
}
