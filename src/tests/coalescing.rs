//! Messages of a thread are counted in one notification per participant for as long as it is unread.

use serde_json::json;
use uuid::Uuid;

use crate::harness::{ADA, BO, BUDGET, CY, Summary as _, TestDatabase, Worker, World};

/// Ada, Bo and Cy talk in Budget.
async fn stage() -> (TestDatabase<'static>, World) {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    world.users(["Ada", "Bo", "Cy"]).await;
    world.thread("Budget", [ADA, BO, CY]).await;
    (db, world)
}

async fn message(world: &mut World, sender: Uuid, preview: &str) -> i64 {
    let event = world.message(BUDGET).actor(sender);
    event.payload(json!({"preview": preview})).await
}

/// What a person has, unread first: count and title.
async fn inbox(db: &TestDatabase<'_>, user: Uuid) -> Vec<String> {
    db.texts(format!(
        "SELECT concat_ws(' ', CASE WHEN read_at IS NULL THEN 'unread' ELSE 'read' END,
                coalesce_count, payload -> 'count', title)
           FROM notifications WHERE user_id = '{user}' ORDER BY read_at NULLS FIRST, id"
    ))
    .await
}

/// Count, text and data are those of the last message.
#[tokio::test]
async fn messages_of_a_batch_are_one_notification() {
    let (db, mut world) = stage().await;
    message(&mut world, ADA, "One").await;
    message(&mut world, ADA, "Two").await;
    let newest = message(&mut world, CY, "Three").await;
    let report = db.run().await;
    // Ada is notified of one message, Bo of three, Cy of two.
    insta::assert_snapshot!(report.summary(), @"events=3 notifications=3 merged=3");
    insta::assert_snapshot!(db.notified().await, @r#"
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
    let of_bo = format!("notifications WHERE user_id = '{BO}'");
    let event = db.text(format!("SELECT event_id FROM {of_bo}"));
    assert_eq!(event.await, newest.to_string());
}

/// The application deletes old events, and sorts by `created_at`.
#[tokio::test]
async fn notification_moves_up_and_outlives_its_first_event() {
    let (db, mut world) = stage().await;
    let first = message(&mut world, ADA, "One").await;
    let kickoff = world.meeting("Kick-off", [BO]).await;
    let meeting = world.updated(kickoff).await;
    db.run().await;
    let newest_first = format!(
        "SELECT event_id FROM notifications WHERE user_id = '{BO}' ORDER BY created_at DESC"
    );
    let ids = |ids: [i64; 2]| ids.map(|id| id.to_string());
    assert_eq!(db.texts(&newest_first).await, ids([meeting, first]));
    let second = message(&mut world, ADA, "Two").await;
    db.run().await;
    assert_eq!(db.texts(&newest_first).await, ids([second, meeting]));
    let gone = format!("DELETE FROM domain_events WHERE id = {first}");
    db.execute(gone).await;
    assert_eq!(
        inbox(&db, BO).await,
        [
            "unread Someone updated Kick-off",
            "unread 2 2 2 unread in Budget"
        ]
    );
}

/// A worker whose events are older comes last: the newest keeps its place.
#[tokio::test]
async fn older_event_that_comes_late_moves_nothing_back() {
    let (db, mut world) = stage().await;
    let older = message(&mut world, ADA, "One").await;
    let newer = message(&mut world, ADA, "Two").await;
    db.execute(format!(
        "UPDATE notification_processing SET next_attempt_at = now() + interval '1 h' WHERE event_id = {older}"
    ))
    .await;
    db.run().await;
    db.execute("UPDATE notifications SET created_at = now() + interval '1 h'")
        .await;
    db.time_passes().await;
    db.run().await;
    let rows = db
        .texts("SELECT DISTINCT concat_ws(' ', event_id, coalesce_count, created_at > now()) FROM notifications")
        .await;
    assert_eq!(rows, [format!("{newer} 2 t")]);
}

/// Of eleven messages: ten is one digit longer than nine.
#[tokio::test]
async fn batches_of_any_size_lead_to_the_same_rows() {
    let (db, mut world) = stage().await;
    for no in 1..=11 {
        message(&mut world, ADA, &format!("No. {no}")).await;
    }
    drop(world);
    let [pairs, singles] = [db.twin().await, db.twin().await];
    insta::assert_snapshot!(db.run().await.summary(), @"events=11 notifications=2 merged=20");
    let rows = db.notifications().await;
    // Each of them the oldest and as many again of its thread.
    let in_pairs = pairs.run_in_batches(1).await;
    insta::assert_snapshot!(in_pairs.summary(), @"batches=6 events=11 notifications=2 merged=20");
    assert_eq!(pairs.notifications().await, rows);

    let mut single = singles.settings();
    single.limit = Some(1);
    let mut counts = (0, 0);
    for _ in 0..11 {
        let one = singles.run_with(&single).await;
        assert_eq!((one.batches, one.events), (1, 1));
        counts = (counts.0 + one.notifications, counts.1 + one.merged);
    }
    assert_eq!(counts, (2, 20));
    assert_eq!(singles.notifications().await, rows);
}

#[tokio::test]
async fn counting_begins_anew_after_a_read() {
    let (db, mut world) = stage().await;
    message(&mut world, ADA, "One").await;
    message(&mut world, ADA, "Two").await;
    db.run().await;
    let read = format!("UPDATE notifications SET read_at = now() WHERE user_id = '{BO}'");
    db.execute(read).await;
    message(&mut world, ADA, "Three").await;
    db.run().await;
    assert_eq!(
        inbox(&db, BO).await,
        [
            "unread 1 1 1 unread in Budget",
            "read 2 2 2 unread in Budget"
        ]
    );
    let inbox = inbox(&db, CY).await;
    assert_eq!(inbox, ["unread 3 3 3 unread in Budget"]);
}

/// Bo reads just while a worker wants to count another message: the message is not lost in what
/// they have read.
#[tokio::test]
async fn message_is_not_lost_in_what_is_read_meanwhile() {
    let (db, mut world) = stage().await;
    message(&mut world, ADA, "One").await;
    db.run().await;
    message(&mut world, ADA, "Two").await;
    let reading = format!("UPDATE notifications SET read_at = now() WHERE user_id = '{BO}'");
    let hold = db.hold(&reading).await;
    let (report, ()) = tokio::join!(db.run(), async {
        db.until_waiting(1).await;
        hold.release().await;
    });
    insta::assert_snapshot!(report.summary(), @"events=1 notifications=1 merged=1");
    assert_eq!(
        inbox(&db, BO).await,
        [
            "unread 1 1 1 unread in Budget",
            "read 1 1 1 unread in Budget"
        ]
    );
}

#[tokio::test]
async fn threads_and_mentions_are_not_merged() {
    let (db, mut world) = stage().await;
    let rent = world.thread("Rent", [ADA, BO]).await;
    for thread in [BUDGET, rent] {
        world.message(thread).actor(ADA).await;
    }
    let mention = json!({"mentioned_user_ids": [BO], "preview": "@Bo"});
    for _ in 0..2 {
        let event = world.message(BUDGET).actor(ADA);
        event.payload(mention.clone()).await;
    }
    db.run().await;
    insta::assert_snapshot!(db.titles().await, @"
    Bo: 1 unread in Budget
    Bo: 1 unread in Rent
    Bo: Ada mentioned you in Budget
    Bo: Ada mentioned you in Budget
    Cy: 3 unread in Budget
    ");
}

/// Four processes, the same participants: each message is counted once.
#[tokio::test]
async fn concurrent_workers_count_each_message_once() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let people = world.people(40).await;
    world.thread("Town", &people).await;
    world.thread("Hall", &people).await;
    world
        .execute(
            "INSERT INTO domain_events (event_type, thread_id, payload)
             SELECT 'chat_message_sent', t.id, '{\"preview\": \"Hi\"}'
               FROM generate_series(1, 300), chat_threads t",
        )
        .await;
    let workers = [(); 4]
        .map(|()| Worker::start(db.binary().args(["--batch-size", "20", "--format", "json"])));
    let (mut notifications, mut merged, mut busy) = (0, 0, 0);
    for worker in workers {
        let report = worker.ends(0).await.report();
        notifications += report["notifications"].as_u64().expect("a number");
        merged += report["merged"].as_u64().expect("a number");
        busy += u64::from(report["events"] != 0);
    }
    assert!(busy > 1, "one did it all");
    assert_eq!((notifications, notifications + merged), (80, 300 * 80));
    let inboxes = db
        .texts(
            "SELECT DISTINCT concat_ws(' ', count(*), min(coalesce_count), min(payload ->> 'count'),
                    min(title), min(substr(body, 1, 3))) AS inbox
               FROM notifications GROUP BY user_id, coalesce_key ORDER BY inbox",
        )
        .await;
    insta::assert_snapshot!(inboxes.join("\n"), @"
    1 300 300 300 unread in Hall 300
    1 300 300 300 unread in Town 300
    ");
}
