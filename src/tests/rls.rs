//! Where people reach the database themselves, each sees and marks only their own. Roles belong to
//! a whole server, so these tests have servers of their own.

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
    world.event("chat_message_sent").thread(budget).await;
    let report = db.run().await;
    assert_eq!(report.notifications, 2);
    db
}

/// Does something as a person who has come in by the web, and undoes it again.
async fn as_person(db: &TestDatabase<'_>, person: Uuid, statement: &str) -> Result<u64, String> {
    let mut connection = db.connect().await;
    let prepare = format!(
        "BEGIN; SET LOCAL ROLE authenticated; SELECT set_config('request.jwt.claim.sub', '{person}', true)"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(prepare))
        .execute(&mut connection)
        .await
        .expect("a role");
    let result = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
        .execute(&mut connection)
        .await;
    result
        .map(|done| done.rows_affected())
        .map_err(|error| error.to_string())
}

async fn each_sees_only_their_own(db: &TestDatabase<'_>) {
    let [ada, bo] = ["Ada", "Bo"].map(|name| id("user", name));
    let done = async |statement: &str| as_person(db, ada, statement).await;
    let mine = "SELECT FROM notifications";
    assert_eq!(done(mine).await, Ok(1));
    assert_eq!(done(&format!("{mine} WHERE user_id = '{bo}'")).await, Ok(0));
    assert_eq!(
        done("UPDATE notifications SET read_at = now()").await,
        Ok(1)
    );
    assert_eq!(
        done(&format!(
            "UPDATE notifications SET read_at = now() WHERE user_id = '{bo}'"
        ))
        .await,
        Ok(0)
    );
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
    assert_eq!(
        done("SELECT FROM user_notification_preferences").await,
        Ok(1)
    );
    assert_eq!(
        done("UPDATE user_notification_preferences SET status = 'digest'").await,
        Ok(1)
    );
    assert_eq!(
        done("DELETE FROM user_notification_preferences").await,
        Ok(1)
    );
    let insert = |user| {
        format!("INSERT INTO user_notification_preferences (user_id, scope_type, event_type, channel, status)
            VALUES ('{user}', 'global', '*', 'in_app', 'muted')")
    };
    assert_eq!(done(&insert(ada)).await, Ok(1));
    let error = done(&insert(bo)).await.expect_err("another's preference");
    assert!(error.contains("row-level security"), "{error}");
    let nobody = as_person(db, Uuid::nil(), mine).await;
    assert_eq!(nobody, Ok(0));
    db.execute("SET ROLE service_role; DO $$ BEGIN ASSERT (SELECT count(*) FROM notifications) = 2; END $$").await;
}

#[tokio::test]
async fn where_people_come_in_by_the_web() {
    let server = Server::start();
    let db = stage(&server, ROLES).await;
    each_sees_only_their_own(&db).await;
    assert_eq!(
        db.migrate().await,
        notify_fan_out::db::migrate::MigrateReport::default()
    );

    // Supabase has a function that tells who it is.
    let supabase = stage(
        &server,
        "CREATE SCHEMA auth; GRANT USAGE ON SCHEMA auth TO PUBLIC;
         CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS
            $$ SELECT nullif(current_setting('request.jwt.claim.sub', true), '')::uuid $$",
    )
    .await;
    each_sees_only_their_own(&supabase).await;
    assert!(
        supabase
            .text("SELECT string_agg(qual, ' ') FROM pg_policies")
            .await
            .contains("auth.uid()")
    );

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
    assert_eq!(
        own_rules
            .texts("SELECT policyname FROM pg_policies WHERE tablename = 'notifications'")
            .await,
        ["theirs"]
    );
}

#[tokio::test]
async fn elsewhere_nothing_is_enforced() {
    let server = Server::start();
    let db = stage(&server, "CREATE ROLE authenticated").await;
    assert_eq!(db.count("pg_policies").await, 0);
    assert_eq!(db.count("pg_class WHERE relrowsecurity").await, 0);
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
    let tables: Vec<_> = open
        .iter()
        .filter_map(|line| line.split(':').next())
        .collect();
    assert_eq!(
        tables,
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
async fn a_reader_marks_as_unread() {
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
    world
        .event("chat_message_sent")
        .thread(id("thread", "Budget"))
        .await;
    db.run().await;
    mark("NULL").await;
    let unread = format!("notifications WHERE user_id = '{ada}' AND read_at IS NULL");
    assert_eq!(db.count(&unread).await, 2);
    // Bo, who has read nothing, has one of both.
    let bo = id("user", "Bo");
    assert_eq!(
        db.count(&format!("notifications WHERE user_id = '{bo}'"))
            .await,
        1
    );
}
