//! Messages of a thread are counted in one notification per reader for as long as it is unread.

use serde_json::json;
use uuid::Uuid;

use crate::harness::{TestDatabase, Worker, World};

struct Stage {
    db: TestDatabase<'static>,
    world: World,
    ada: Uuid,
    bo: Uuid,
    cy: Uuid,
    budget: Uuid,
}

impl Stage {
    async fn new() -> Self {
        let db = TestDatabase::new().await;
        let mut world = db.world().await;
        let [ada, bo, cy] = world.users(["Ada", "Bo", "Cy"]).await;
        let budget = world.thread("Budget", [ada, bo, cy]).await;
        Self {
            db,
            world,
            ada,
            bo,
            cy,
            budget,
        }
    }

    async fn message(&mut self, sender: Uuid, words: &str) -> i64 {
        let event = self
            .world
            .event("chat_message_sent")
            .actor(sender)
            .thread(self.budget);
        event.payload(json!({"preview": words})).await
    }

    /// What a person has, unread first: count and title.
    async fn inbox(&self, user: Uuid) -> Vec<String> {
        self.db
            .texts(&format!(
                "SELECT concat_ws(' ', CASE WHEN read_at IS NULL THEN 'unread' ELSE 'read' END,
                        coalesce_count, payload -> 'count', title)
                   FROM notifications WHERE user_id = '{user}' ORDER BY read_at NULLS FIRST, id"
            ))
            .await
    }
}

/// Count, words and data are those of the last message.
#[tokio::test]
async fn within_a_batch() {
    let mut stage = Stage::new().await;
    stage.message(stage.ada, "One").await;
    stage.message(stage.ada, "Two").await;
    let newest = stage.message(stage.cy, "Three").await;
    let report = stage.db.run().await;
    // Ada is notified of one message, Bo of three, Cy of two.
    assert_eq!((report.notifications, report.merged), (3, 3));
    insta::assert_snapshot!(stage.db.notified().await, @r#"
    Ada: 1 unread in Budget
      1 unread in **Budget**, the latest from **Cy**: Three
      /dashboard?tab=chat&thread=Budget
      {"type": "thread_activity", "count": 1, "thread_id": "Budget", "project_id": null, "thread_name": "Budget", "project_name": null}
    Bo: 3 unread in Budget
      3 unread in **Budget**, the latest from **Cy**: Three
      /dashboard?tab=chat&thread=Budget
      {"type": "thread_activity", "count": 3, "thread_id": "Budget", "project_id": null, "thread_name": "Budget", "project_name": null}
    Cy: 2 unread in Budget
      2 unread in **Budget**, the latest from **Ada**: Two
      /dashboard?tab=chat&thread=Budget
      {"type": "thread_activity", "count": 2, "thread_id": "Budget", "project_id": null, "thread_name": "Budget", "project_name": null}
    "#);
    let events = stage
        .db
        .texts(&format!(
            "SELECT event_id FROM notifications WHERE user_id = '{}'",
            stage.bo
        ))
        .await;
    assert_eq!(events, [newest.to_string()], "the newest event");
}

/// The application deletes old events, and sorts by `created_at`.
#[tokio::test]
async fn it_moves_up_and_outlives_its_first_event() {
    let mut stage = Stage::new().await;
    let first = stage.message(stage.ada, "One").await;
    let kickoff = stage.world.meeting("Kick-off", [stage.bo]).await;
    let meeting = stage.world.event("meeting_updated").meeting(kickoff).await;
    stage.db.run().await;
    let newest_first = format!(
        "SELECT event_id FROM notifications WHERE user_id = '{}' ORDER BY created_at DESC",
        stage.bo
    );
    let ids = |ids: [i64; 2]| ids.map(|id| id.to_string());
    assert_eq!(stage.db.texts(&newest_first).await, ids([meeting, first]));
    let second = stage.message(stage.ada, "Two").await;
    stage.db.run().await;
    assert_eq!(stage.db.texts(&newest_first).await, ids([second, meeting]));
    stage
        .db
        .execute(format!("DELETE FROM domain_events WHERE id = {first}"))
        .await;
    assert_eq!(
        stage.inbox(stage.bo).await,
        [
            "unread Someone updated Kick-off",
            "unread 2 2 2 unread in Budget"
        ]
    );
}

/// A worker whose events are older comes last: the newest keeps its place.
#[tokio::test]
async fn an_older_event_that_comes_late_moves_nothing_back() {
    let mut stage = Stage::new().await;
    let older = stage.message(stage.ada, "One").await;
    let newer = stage.message(stage.ada, "Two").await;
    stage
        .db
        .execute(format!(
            "UPDATE notification_processing SET next_attempt_at = now() + interval '1 h' WHERE event_id = {older}"
        ))
        .await;
    stage.db.run().await;
    stage
        .db
        .execute(format!(
            "UPDATE notification_processing SET next_attempt_at = now() WHERE event_id = {older};
             UPDATE notifications SET created_at = now() + interval '1 h'"
        ))
        .await;
    stage.db.run().await;
    let rows = stage
        .db
        .texts("SELECT DISTINCT concat_ws(' ', event_id, coalesce_count, created_at > now()) FROM notifications")
        .await;
    assert_eq!(rows, [format!("{newer} 2 t")]);
}

#[tokio::test]
async fn over_batches_as_within_one() {
    let mut stage = Stage::new().await;
    for words in ["One", "Two", "Three", "Four"] {
        stage.message(stage.ada, words).await;
    }
    let Stage { db, world, .. } = stage;
    drop(world);
    let [pairs, singles] = [db.twin().await, db.twin().await];
    let at_once = db.run().await;
    assert_eq!(
        (at_once.batches, at_once.notifications, at_once.merged),
        (1, 2, 6)
    );
    // Each of them the oldest and as many again of its thread.
    let mut small = pairs.settings();
    small.batch_size = 1;
    let in_parts = pairs.run_with(&small).await;
    assert_eq!(
        (in_parts.batches, in_parts.notifications, in_parts.merged),
        (2, 2, 6)
    );
    assert_eq!(db.notifications().await, pairs.notifications().await);

    small.limit = Some(1);
    let (mut notifications, mut merged) = (0, 0);
    for _ in 0..4 {
        let one = singles.run_with(&small).await;
        assert_eq!((one.batches, one.events), (1, 1));
        notifications += one.notifications;
        merged += one.merged;
    }
    assert_eq!((notifications, merged), (2, 6));
    assert_eq!(db.notifications().await, singles.notifications().await);
}

/// Ten is one digit longer than nine.
#[tokio::test]
async fn the_count_grows_beyond_a_digit() {
    let mut stage = Stage::new().await;
    for _ in 0..9 {
        stage.message(stage.ada, "Hi").await;
    }
    stage.db.run().await;
    stage.message(stage.ada, "Hi").await;
    stage.message(stage.ada, "Ho").await;
    stage.db.run().await;
    insta::assert_snapshot!(stage.db.notified().await, @r#"
    Bo: 11 unread in Budget
      11 unread in **Budget**, the latest from **Ada**: Ho
      /dashboard?tab=chat&thread=Budget
      {"type": "thread_activity", "count": 11, "thread_id": "Budget", "project_id": null, "thread_name": "Budget", "project_name": null}
    Cy: 11 unread in Budget
      11 unread in **Budget**, the latest from **Ada**: Ho
      /dashboard?tab=chat&thread=Budget
      {"type": "thread_activity", "count": 11, "thread_id": "Budget", "project_id": null, "thread_name": "Budget", "project_name": null}
    "#);
}

#[tokio::test]
async fn after_a_read_it_begins_anew() {
    let mut stage = Stage::new().await;
    stage.message(stage.ada, "One").await;
    stage.message(stage.ada, "Two").await;
    stage.db.run().await;
    stage
        .db
        .execute(format!(
            "UPDATE notifications SET read_at = now() WHERE user_id = '{}'",
            stage.bo
        ))
        .await;
    stage.message(stage.ada, "Three").await;
    stage.db.run().await;
    assert_eq!(
        stage.inbox(stage.bo).await,
        [
            "unread 1 1 1 unread in Budget",
            "read 2 2 2 unread in Budget"
        ]
    );
    assert_eq!(
        stage.inbox(stage.cy).await,
        ["unread 3 3 3 unread in Budget"]
    );
}

/// Bo reads just while a worker wants to count another message: the message is not lost in what
/// they have read.
#[tokio::test]
async fn a_read_that_comes_between() {
    let mut stage = Stage::new().await;
    stage.message(stage.ada, "One").await;
    stage.db.run().await;
    stage.message(stage.ada, "Two").await;
    let reading = format!(
        "UPDATE notifications SET read_at = now() WHERE user_id = '{}'",
        stage.bo
    );
    let hold = stage.db.hold(&reading).await;
    let (report, ()) = tokio::join!(stage.db.run(), async {
        stage.db.until_waiting(1).await;
        hold.release().await;
    });
    assert_eq!((report.notifications, report.merged), (1, 1));
    assert_eq!(
        stage.inbox(stage.bo).await,
        [
            "unread 1 1 1 unread in Budget",
            "read 1 1 1 unread in Budget"
        ]
    );
}

/// Threads and people are apart, and a mention is nobody's count.
#[tokio::test]
async fn what_is_not_merged() {
    let mut stage = Stage::new().await;
    let rent = stage.world.thread("Rent", [stage.ada, stage.bo]).await;
    stage.message(stage.ada, "Hi").await;
    stage
        .world
        .event("chat_message_sent")
        .actor(stage.ada)
        .thread(rent)
        .await;
    for _ in 0..2 {
        let event = stage
            .world
            .event("chat_message_sent")
            .actor(stage.ada)
            .thread(stage.budget);
        event
            .payload(json!({"mentioned_user_ids": [stage.bo], "preview": "@Bo"}))
            .await;
    }
    stage.db.run().await;
    insta::assert_snapshot!(stage.db.titles().await, @"
    Bo: 1 unread in Budget
    Bo: 1 unread in Rent
    Bo: Ada mentioned you in Budget
    Bo: Ada mentioned you in Budget
    Cy: 3 unread in Budget
    ");
}

/// Four processes, the same readers: each message is counted once.
#[tokio::test]
async fn over_concurrent_workers() {
    let stage = Stage::new().await;
    let mut world = stage.db.world().await;
    let readers = world.people(40).await;
    world.thread("Town", &readers).await;
    world.thread("Hall", &readers).await;
    world
        .execute(
            "INSERT INTO domain_events (event_type, thread_id, payload)
             SELECT 'chat_message_sent', t.id, '{\"preview\": \"Hi\"}'
               FROM generate_series(1, 300), chat_threads t",
        )
        .await;
    let workers: Vec<_> = (0..4)
        .map(|_| {
            Worker::start(
                stage
                    .db
                    .binary()
                    .args(["--batch-size", "20", "--format", "json"]),
            )
        })
        .collect();
    let (mut notifications, mut merged, mut busy) = (0, 0, 0);
    for worker in workers {
        let ended = worker.end().await;
        assert!(ended.status.success(), "{ended:?}");
        let report = ended.report();
        notifications += report["notifications"].as_u64().expect("a number");
        merged += report["merged"].as_u64().expect("a number");
        busy += u64::from(report["events"] != 0);
    }
    assert!(busy > 1, "one did it all");
    assert_eq!(
        (notifications, notifications + merged),
        (3 + 40 + 40, 300 * (3 + 40 + 40))
    );
    let inboxes = stage
        .db
        .texts(
            "SELECT DISTINCT concat_ws(' ', count(*), min(coalesce_count), min(payload ->> 'count'),
                    min(title), min(substr(body, 1, 3)))
               FROM notifications GROUP BY user_id, coalesce_key",
        )
        .await;
    let mut inboxes = inboxes;
    inboxes.sort();
    insta::assert_snapshot!(inboxes.join("\n"), @"
    1 300 300 300 unread in Budget 300
    1 300 300 300 unread in Hall 300
    1 300 300 300 unread in Town 300
    ");
}
