//! The docs say what holds: their SQL runs, their samples are what the program prints, their links lead
//! somewhere.

mod links;
mod samples;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;

use crate::channels::receiver::{Receiver, answer};
use crate::deliver::with_mails;
use crate::harness::{Delivery, Server, TestDatabase, World};

const OPERATIONS: &str = include_str!("../../docs/operations.md");
const PAGE: &str = include_str!("../../docs/application.md");

/// The named SQL blocks of a page.
fn blocks(page: &'static str) -> BTreeMap<&'static str, &'static str> {
    page.split("```sql ")
        .skip(1)
        .filter_map(|rest| rest.split_once("```")?.0.split_once('\n'))
        .collect()
}

/// What Supabase brings, without its rights on our tables.
const SUPABASE: &str = "
    CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE service_role;
    CREATE SCHEMA auth; GRANT USAGE ON SCHEMA auth TO PUBLIC;
    CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS
        $$ SELECT nullif(current_setting('request.jwt.claim.sub', true), '')::uuid $$;
    CREATE PUBLICATION supabase_realtime";

struct Page {
    blocks: BTreeMap<&'static str, &'static str>,
    unused: BTreeSet<&'static str>,
    connection: PgConnection,
    user: Uuid,
}

impl Page {
    fn new(text: &'static str, connection: PgConnection, user: Uuid) -> Self {
        let blocks = blocks(text);
        Self {
            unused: blocks.keys().copied().collect(),
            blocks,
            connection,
            user,
        }
    }

    /// Runs a block and returns the first column of its rows as text.
    async fn run(&mut self, block: &'static str, value: &str) -> Vec<String> {
        let sql = self.blocks.get(block).expect(block);
        self.unused.remove(block);
        let sql = sql
            .replace("$1", &format!("'{}'", self.user))
            .replace("$2", value);
        let rows = sqlx::raw_sql(AssertSqlSafe(sql))
            .fetch_all(&mut self.connection)
            .await
            .unwrap_or_else(|error| panic!("{block}: {error}"));
        let first = rows.iter().map(|row| row.get::<i64, _>(0));
        first.map(|value| value.to_string()).collect()
    }

    async fn become_role(&mut self, role: &str) {
        let user = self.user;
        sqlx::raw_sql(AssertSqlSafe(format!(
            "SET ROLE {role}; SELECT set_config('request.jwt.claim.sub', '{user}', false)"
        )))
        .execute(&mut self.connection)
        .await
        .expect("a role");
    }
}

#[tokio::test]
async fn sql_of_the_application_page_works_as_described() {
    let server = Server::start();
    let db = TestDatabase::empty_on(&server).await;
    db.execute(SUPABASE).await;
    db.migrate().await;
    let mut world = db.world().await;
    let [ada, bo] = world.users(["Ada", "Bo"]).await;
    let [_, atlas] = world.acme([ada, bo]).await;
    let mut page = Page::new(PAGE, db.connect().await, bo);

    // As `migrate` leaves it, made once more by the page's own statements.
    db.execute(
        "DROP POLICY own_read ON notifications; DROP POLICY own_mark ON notifications;
         DROP POLICY service_role_all ON notifications;
         ALTER TABLE notifications DISABLE ROW LEVEL SECURITY",
    )
    .await;
    page.run("row-level-security", "").await;
    page.run("realtime", "").await;
    page.run("unread-index", "").await;

    // Bo uploads documents: Ada, the other owner, is notified; Bo, the actor, is not.
    for _ in 0..30 {
        page.run("write-event", &format!("'{atlas}'")).await;
    }
    assert_eq!(db.run().await.notifications, 30);
    db.execute(
        "UPDATE notifications SET created_at = now() - make_interval(mins => 31 - event_id::int)",
    )
    .await;
    let ids = "SELECT id FROM notifications ORDER BY created_at DESC";
    let newest_first = db.texts(ids).await;

    page.user = ada;
    page.become_role("authenticated").await;
    assert_eq!(page.run("first-page", "").await, newest_first[..20]);
    let last = newest_first[19].as_str();
    assert_eq!(page.run("next-page", last).await, newest_first[20..]);
    page.run("mark-one", &newest_first[0]).await;
    assert_eq!(page.run("unread-count", "").await, ["29"]);
    page.run("mark-all", &newest_first[10]).await;
    let unread = "SELECT id FROM notifications WHERE read_at IS NULL ORDER BY created_at DESC";
    assert_eq!(db.texts(unread).await, newest_first[1..10]);

    for (block, value) in [
        ("mute-globally", String::new()),
        ("mute-project", format!("'{atlas}'")),
    ] {
        for _ in 0..2 {
            page.run(block, &value).await;
        }
    }
    let muted = "SELECT concat_ws(' ', scope_type, event_type, channel, status) FROM user_notification_preferences ORDER BY 1";
    assert_eq!(
        db.texts(muted).await,
        ["global document_uploaded in_app muted", "project * * muted"]
    );
    assert!(page.unused.is_empty(), "not run: {:?}", page.unused);

    // Somebody else sees and marks nothing of it.
    page.user = bo;
    page.become_role("authenticated").await;
    assert!(page.run("first-page", "").await.is_empty());
    page.run("mark-all", &newest_first[1]).await;
    assert_eq!(db.texts(unread).await.len(), 9);
}

#[tokio::test]
async fn nothing_pending_is_sent_after_the_statements_for_a_restore() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let ada = world.user("Ada").await;
    let acme = world.org("Acme", [ada]).await;
    let accepted = json!({"new_member_id": world.user("Bo").await});
    let pending = async |world: &mut World| {
        let event = world.event("invite_accepted").org(acme);
        event.payload(accepted.clone()).await;
    };
    pending(&mut world).await;
    assert_eq!(db.run().await.emails, 1);
    pending(&mut world).await;
    let endpoint = db.endpoint("webhook", "hook").await;
    let message = r#"'{"title": "Down"}'"#;
    db.delivery(Delivery::endpoint("webhook", endpoint).with("message", message))
        .await;
    drop(world);
    let before_restore = db.twin().await;

    let mut page = Page::new(OPERATIONS, db.connect().await, ada);
    page.run("cancel-pending", "").await;
    page.run("disable-endpoints", "").await;
    assert!(page.unused.is_empty(), "not run: {:?}", page.unused);

    for (db, events, sent) in [(before_restore, 1, 3), (db, 0, 0)] {
        let outside = Receiver::start(|_| answer(200, &[], r#"{"id": "1"}"#)).await;
        db.execute(format!(
            "UPDATE notification_endpoints SET settings = '{{\"url\": \"{}\"}}'",
            outside.base()
        ))
        .await;
        assert_eq!(db.run().await.events, events);
        let deliver = with_mails(&db, &outside.base());
        let ended = tokio::process::Command::from(deliver).output().await;
        let ended = ended.expect("a process");
        assert!(ended.status.code().is_some(), "{ended:?}");
        assert_eq!(outside.count(), sent);
    }
}
