//! Events with a large audience: nobody waits behind them, and everyone is notified once.

use notify_fan_out::fan_out::run;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::{Summary as _, TestDatabase, World};

/// More than are written at once, and not a whole number of parts.
const PEOPLE: i32 = 45_001;

struct Stage {
    db: TestDatabase<'static>,
    world: World,
    people: Vec<Uuid>,
}

impl Stage {
    async fn new() -> Self {
        let db = TestDatabase::new().await;
        let mut world = db.world().await;
        let people = world.people(PEOPLE).await;
        Self { db, world, people }
    }

    /// A document that all may see but every tenth, who is refused it, and the owner, who is also a
    /// grantee.
    async fn document(&mut self) -> i64 {
        let owner = self.people[0];
        let org = self.world.org("Acme", [owner]).await;
        let project = self.world.project("Atlas", org).await;
        let document = self.world.document("Plan.pdf", org, project).await;
        self.world.grant(project, &self.people).await;
        self.world
            .execute(format!(
                "INSERT INTO permissions (resource_id, user_id, permission)
                 SELECT '{document}', user_id, 'none' FROM (
                     SELECT user_id, row_number() OVER (ORDER BY user_id) AS n
                       FROM project_access_grants WHERE user_id <> '{owner}') AS people
                  WHERE n % 10 = 0"
            ))
            .await;
        self.world.uploaded(document, project).await
    }

    async fn small(&mut self, topic: &str) -> i64 {
        let pair = [self.people[1], self.people[2]];
        let thread = self.world.thread(topic, pair).await;
        self.world.message(thread).await
    }
}

#[tokio::test]
async fn others_go_first_and_each_recipient_is_notified_once() {
    let mut stage = Stage::new().await;
    let large = stage.document().await;
    let small = stage.small("Two").await;
    let report = stage.db.run().await;
    let expected = u64::try_from(PEOPLE - (PEOPLE - 1) / 10).expect("many");
    let notifications = expected + 2;
    assert_eq!(
        report.summary(),
        format!(
            "batches=2 events=2 notifications={notifications} emails={expected} suppressed=4500"
        )
    );
    for table in ["notifications", "pending_emails"] {
        let counted = format!(
            "SELECT count(*) || ' ' || count(DISTINCT user_id) FROM {table} WHERE event_id = {large}"
        );
        let expected = format!("{expected} {expected}");
        assert_eq!(stage.db.text(&counted).await, expected, "{table}");
    }
    let order = format!(
        "SELECT max(id) FILTER (WHERE event_id = {small}) < min(id) FILTER (WHERE event_id = {large})
           FROM notifications"
    );
    assert_eq!(stage.db.text(&order).await, "true", "the large one is last");

    // A retry of a completed event notifies nobody again, whatever part they are in.
    let retry = "UPDATE notification_processing SET processing_status = 'pending'";
    stage.db.execute(retry).await;
    let again = stage.db.run().await;
    assert_eq!((again.events, again.notifications, again.emails), (2, 0, 0));
}

#[tokio::test]
async fn a_limit_is_kept_and_leaves_nothing_in_hand() {
    let mut stage = Stage::new().await;
    stage.document().await;
    stage.small("Two").await;
    stage.small("And two").await;
    let mut settings = stage.db.settings();
    settings.limit = Some(2);
    let report = stage.db.run_with(&settings).await;
    assert_eq!(report.events, 2);
    assert_eq!(stage.db.standings().await, "completed=2 pending=1");
}

#[tokio::test]
async fn large_thread_is_coalesced_per_recipient() {
    let mut stage = Stage::new().await;
    let people = stage.people.clone();
    let town = stage.world.thread("Town", &people).await;
    stage.world.message(town).await;
    stage.world.message(town).actor(people[7]).await;
    let report = stage.db.run().await;
    let everyone = u64::try_from(PEOPLE).expect("many");
    assert_eq!(report.notifications, everyone);
    assert_eq!(report.merged, everyone - 1, "but the sender of the second");
    let counts = "SELECT coalesce_count || ': ' || count(*) FROM notifications GROUP BY coalesce_count ORDER BY 1";
    let counts = stage.db.texts(counts).await;
    assert_eq!(counts, ["1: 1".to_owned(), format!("2: {}", everyone - 1)]);
}

/// A run that is stopped before a large audience releases its event as if it had never been claimed.
#[tokio::test]
async fn event_without_time_left_is_released() {
    let mut stage = Stage::new().await;
    let large = stage.document().await;
    stage.small("Two").await;
    let stop = CancellationToken::new();
    let (database, settings) = (stage.db.database(), stage.db.settings());
    let (report, result) = run(&database, &settings, &stop, &mut |_| stop.cancel()).await;
    result.expect("a run that was stopped");
    assert_eq!((report.events, report.stopped_early), (1, true));
    let row = format!(
        "SELECT concat_ws(' ', processing_status, retry_count, claimed_at, claim_token)
           FROM notification_processing WHERE event_id = {large}"
    );
    assert_eq!(stage.db.text(&row).await, "pending 0");
    assert_eq!(stage.db.run().await.events, 1);
}
