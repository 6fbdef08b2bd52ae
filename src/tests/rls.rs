//! Where people reach the database themselves, each sees and marks only their own. Roles belong to
//! a whole server, so these tests have servers of their own.

use notify_fan_out::db::migrate::MigrateReport;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::harness::{Server, TestDatabase, database_at, id, migrate};

const ROLES: &str = "CREATE ROLE authenticated; CREATE ROLE service_role";

/// A migrated database in which Ada and Bo have a notification and a preference each.
async fn stage<'s>(server: &'s Server, before: &str) -> TestDatabase<'s> {
    let db = TestDatabase::empty_on(server).await;
    db.execute(before).await;
    db.migrate().await;
    let mut world = db.world().await;
    let readers = world.users(["Ada", "Bo"]).await;
    let budget = world.thread("Budget", readers).await;
    for reader in readers {
        world
            .prefers(reader, "global / * / email = muted", None)
            .await;
    }
    world.message(budget).await;
    assert_eq!(db.run().await.notifications, 2);
    db
}

/// Does something as a person who has come in by the web, and undoes it again.
async fn as_person(db: &TestDatabase<'_>, person: Uuid, statement: &str) -> Result<u64, String> {
    let mut connection = db.connect().await;
    let become_them = format!(
        "BEGIN; SET LOCAL ROLE authenticated; SELECT set_config('request.jwt.claim.sub', '{person}', true)"
    );
    let mut done = sqlx::raw_sql(AssertSqlSafe(become_them))
        .execute(&mut connection)
        .await;
    if done.is_ok() {
        let statement = AssertSqlSafe(statement.to_owned());
        done = sqlx::raw_sql(statement).execute(&mut connection).await;
    }
    done.map(|done| done.rows_affected())
        .map_err(|error| error.to_string())
}

async fn each_sees_only_their_own(db: &TestDatabase<'_>) {
    let [ada, bo] = ["Ada", "Bo"].map(|name| id("user", name));
    let done = async |statement: &str| as_person(db, ada, statement).await;
    let insert = |user| {
        format!(
            "INSERT INTO user_notification_preferences (user_id, scope_type, event_type, channel, status)
             VALUES ('{user}', 'global', '*', 'in_app', 'muted')"
        )
    };
    let of_bo = format!("WHERE user_id = '{bo}'");
    for (statement, rows) in [
        ("SELECT FROM notifications", 1),
        (&format!("SELECT FROM notifications {of_bo}"), 0),
        ("UPDATE notifications SET read_at = now()", 1),
        (
            &format!("UPDATE notifications SET read_at = now() {of_bo}"),
            0,
        ),
        ("SELECT FROM user_notification_preferences", 1),
        (
            "UPDATE user_notification_preferences SET status = 'digest'",
            1,
        ),
        ("DELETE FROM user_notification_preferences", 1),
        (&insert(ada), 1),
    ] {
        assert_eq!(done(statement).await, Ok(rows), "{statement}");
    }
    for refused in [
        "UPDATE notifications SET title = 'Mine'",
        "UPDATE notifications SET user_id = user_id",
        "DELETE FROM notifications",
        "TRUNCATE notifications",
        "INSERT INTO notifications (user_id, event_id, title) SELECT user_id, event_id, 'Mine' FROM notifications",
    ] {
        let error = done(refused).await.expect_err(refused);
        assert!(error.contains("permission denied"), "{refused}: {error}");
    }
    let error = done(&insert(bo)).await.expect_err("another's preference");
    assert!(error.contains("row-level security"), "{error}");
    let nobody = as_person(db, Uuid::nil(), "SELECT FROM notifications").await;
    assert_eq!(nobody, Ok(0));
    db.execute("SET ROLE service_role; DO $$ BEGIN ASSERT (SELECT count(*) FROM notifications) = 2; END $$").await;
}

#[tokio::test]
async fn people_who_come_in_by_the_web_see_only_their_own() {
    let server = Server::start();
    let db = stage(&server, ROLES).await;
    each_sees_only_their_own(&db).await;
    assert_eq!(db.migrate().await, MigrateReport::default());

    // Supabase has a function that tells who it is.
    let supabase = stage(
        &server,
        "CREATE SCHEMA auth; GRANT USAGE ON SCHEMA auth TO PUBLIC;
         CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS
            $$ SELECT nullif(current_setting('request.jwt.claim.sub', true), '')::uuid $$",
    )
    .await;
    each_sees_only_their_own(&supabase).await;
    let policies = "SELECT string_agg(qual, ' ') FROM pg_policies";
    assert!(supabase.text(policies).await.contains("auth.uid()"));

    // Who has rules keeps them.
    let own_rules = TestDatabase::empty_on(&server).await;
    migrate(&database_at(&own_rules.superuser_url())).await;
    own_rules
        .execute(
            "DROP POLICY own_read ON notifications; DROP POLICY own_mark ON notifications; DROP POLICY service_role_all ON notifications;
             CREATE POLICY theirs ON notifications FOR SELECT TO authenticated USING (false);
             DELETE FROM notify_fan_out_migrations WHERE version = 5",
        )
        .await;
    migrate(&database_at(&own_rules.superuser_url())).await;
    let policies = "SELECT policyname FROM pg_policies WHERE tablename = 'notifications'";
    assert_eq!(own_rules.texts(policies).await, ["theirs"]);
    // Without the service's role nothing is enforced.
    own_rules
        .execute("ALTER ROLE service_role RENAME TO another_role")
        .await;
    let elsewhere = stage(&server, "").await;
    assert_eq!(elsewhere.count("pg_policies").await, 0);
    assert_eq!(elsewhere.count("pg_class WHERE relrowsecurity").await, 0);
}

/// What a role may do with any table or sequence, besides what the service role may.
async fn open_to(db: &TestDatabase<'_>, role: &str) -> Vec<String> {
    db.texts(&format!(
        "SELECT format('%s: %s', c.relname, string_agg(DISTINCT a.privilege_type, ' ' ORDER BY a.privilege_type))
           FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
          WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'S')
            AND c.relname NOT IN ('notifications_id_seq', 'pending_emails_id_seq')
            AND a.grantee = '{role}'::regrole
          GROUP BY c.relname ORDER BY c.relname"
    ))
    .await
}

/// Supabase's default privileges open each new table to everyone on the web.
const OPEN: &str = "
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;";

#[tokio::test]
async fn default_privileges_open_nothing() {
    let server = Server::start();
    let db = stage(&server, &format!("{ROLES}; CREATE ROLE anon; {OPEN}")).await;
    assert_eq!(open_to(&db, "anon").await, [""; 0]);
    assert_eq!(
        open_to(&db, "authenticated").await,
        [
            "notifications: SELECT",
            "user_notification_preferences: DELETE INSERT SELECT UPDATE"
        ]
    );
    each_sees_only_their_own(&db).await;

    // What was there before keeps what the application gave, but for the service's open tables.
    let adopted = TestDatabase::empty_on(&server).await;
    adopted
        .execute(format!(
            "{OPEN}
             CREATE TABLE profiles (id uuid PRIMARY KEY, email text, full_name text);
             CREATE TABLE domain_events (id bigserial PRIMARY KEY, event_type text NOT NULL);
             CREATE TABLE notification_processing (event_id bigint PRIMARY KEY, processing_status text NOT NULL);
             CREATE TABLE pending_emails (id bigserial PRIMARY KEY, user_id uuid, event_id bigint, event_type text,
                delivery_type text, project_id uuid, project_name text, subject text, body_data jsonb,
                status text DEFAULT 'pending', created_at timestamptz DEFAULT now(), processed_at timestamptz);
             ALTER TABLE pending_emails ENABLE ROW LEVEL SECURITY;
             CREATE POLICY theirs ON pending_emails FOR SELECT TO authenticated USING (false)"
        ))
        .await;
    adopted.migrate().await;
    let open = open_to(&adopted, "anon").await;
    let tables = open.iter().filter_map(|line| line.split(':').next());
    assert_eq!(
        tables.collect::<Vec<_>>(),
        [
            "domain_events",
            "domain_events_id_seq",
            "pending_emails",
            "profiles"
        ]
    );
}

/// Who may do nothing but mark as read closes what was merged: marked as unread again, it stands
/// beside a newer one.
#[tokio::test]
async fn notification_marked_as_unread_stands_beside_a_newer_one() {
    let server = Server::start();
    let db = stage(&server, ROLES).await;
    let ada = id("user", "Ada");
    let mark = async |read_at: &str| {
        let statement = format!(
            "SET ROLE authenticated; SELECT set_config('request.jwt.claim.sub', '{ada}', false);
             UPDATE notifications SET read_at = {read_at}"
        );
        db.execute(statement).await;
    };
    mark("now()").await;
    let mut world = db.world().await;
    world.message(id("thread", "Budget")).await;
    db.run().await;
    mark("NULL").await;
    let unread = format!("notifications WHERE user_id = '{ada}' AND read_at IS NULL");
    assert_eq!(db.count(&unread).await, 2);
    // Bo, who has read nothing, has one of both.
    let of_bo = format!("notifications WHERE user_id = '{}'", id("user", "Bo"));
    assert_eq!(db.count(of_bo).await, 1);
}
