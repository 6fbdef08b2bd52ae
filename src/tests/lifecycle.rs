//! Where an event stands between its commit and its end: waiting, stuck, too old, unknown; and how
//! a run ends.

mod end;

use std::time::Duration;

use serde_json::Value;

use crate::harness::{ADA, BO, BUDGET, RunCommand as _, Summary as _, TestDatabase, Worker, World};

/// Ada and Bo talk in Budget.
async fn stage() -> (TestDatabase<'static>, World) {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let participants = world.users(["Ada", "Bo"]).await;
    world.thread("Budget", participants).await;
    (db, world)
}

/// Messages in a thread each, none of which is claimed for another's sake.
async fn messages_apart(world: &mut World, count: usize) {
    for no in 0..count {
        let thread = world.thread(&format!("Thread {no}"), [ADA, BO]).await;
        world.message(thread).await;
    }
}

/// Claims are taken from workers that are gone: pending again, or failed where it was the last
/// attempt. A younger claim is left alone.
#[tokio::test]
async fn stuck_claims_are_rescued() {
    let (db, mut world) = stage().await;
    for _ in 0..4 {
        world.message(BUDGET).await;
    }
    db.execute(
        "UPDATE notification_processing SET processing_status = 'processing', processor_id = 'gone',
                claim_token = event_id, claimed_at = now() - interval '11 min' WHERE event_id <= 3;
         UPDATE notification_processing SET retry_count = 4 WHERE event_id = 2;
         UPDATE notification_processing SET claimed_at = now() - interval '9 min' WHERE event_id = 3;
         -- An older job did not say when.
         UPDATE notification_processing SET processing_status = 'processing', created_at = now() - interval '1 h'
          WHERE event_id = 4",
    )
    .await;
    insta::assert_snapshot!(db.run().await.summary(), @"rescued=2 events=2 notifications=2 merged=2 failed=1");
    insta::assert_snapshot!(db.states(1..=4).await, @"
    completed 1
    failed 4 stuck: claimed by gone, which never settled it
    processing 0
    completed 0
    ");
}

/// A worker that is writing is alive, however long it takes: nobody takes its claim.
#[tokio::test]
async fn slow_worker_is_not_stuck() {
    let (db, mut world) = stage().await;
    world.message(BUDGET).await;
    let place = "TRIGGER wait BEFORE INSERT ON notifications FOR EACH ROW";
    let hold = db.hold_at(place).await;
    let mut impatient = db.settings();
    impatient.stuck_after = Duration::from_millis(1);
    let (slow, ()) = tokio::join!(db.run(), async {
        db.until_waiting(1).await;
        assert!(db.run_with(&impatient).await.is_idle());
        hold.release().await;
    });
    assert_eq!((slow.events, slow.lost_claims), (1, 0));
}

/// The attempt is spent by the claim. Nobody knows which of the events of a claim kills its worker: they are
/// claimed in smaller and smaller groups until it is found, and fails; the others complete.
#[tokio::test]
async fn event_that_kills_its_worker_fails_in_the_end() {
    let (db, mut world) = stage().await;
    let kickoff = world.meeting("Kick-off", [ADA, BO]).await;
    let poison = world.thread("Poison", [ADA, BO]).await;
    let others = |count: u32| {
        format!(
            "INSERT INTO domain_events (event_type, meeting_id) SELECT 'meeting_updated', '{kickoff}' FROM generate_series(1, {count})"
        )
    };
    world.execute(others(300)).await;
    let killer = world.message(poison).await;
    world.execute(others(699)).await;
    let _hold = db
        .hold_at(
            "TRIGGER wait BEFORE INSERT ON notifications FOR EACH ROW WHEN (NEW.title LIKE '%Poison%')",
        )
        .await;
    let waiting = "pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let mut deaths = 0;
    while deaths < 20 {
        let mut worker = Worker::start(&mut db.binary());
        while !worker.has_ended() && db.count(waiting).await == 0 {}
        if worker.has_ended() {
            break;
        }
        worker.kill();
        deaths += 1;
        db.disconnect_workers().await;
        db.claims_grow_old().await;
    }
    assert_eq!(deaths, 5);
    let state = db.state(killer).await;
    assert!(state.starts_with("failed 4 stuck"), "{state}");
    assert_eq!(db.standings().await, "completed=999 failed=1");
}

/// The application corrects the type of an event that nothing handles: the next run looks at it again.
#[tokio::test]
async fn event_whose_type_was_corrected_is_processed() {
    let (db, mut world) = stage().await;
    let event = world.event("chat_mesage_sent").thread(BUDGET);
    let event = event.await;
    let report = db.run().await;
    assert_eq!(report.summary(), r#"unhandled_types=["chat_mesage_sent"]"#);
    db.execute("UPDATE domain_events SET event_type = 'chat_message_sent'")
        .await;
    assert!(db.prints("run --dry-run").contains("unread in Budget"));
    // Nobody has to wait for a run to find it; what nobody wants is only what failed.
    let id = event.to_string();
    for (command, count, expected) in [
        (&["discard", &id][..], "discarded_count", 0),
        (&["retry", &id, "--dry-run"], "retried_count", 1),
        (&["retry", &id], "retried_count", 1),
    ] {
        let mut json = db.binary();
        let printed = json.args(command).args(["--format", "json"]).prints();
        let printed: Value = serde_json::from_str(&printed).expect("a report");
        assert_eq!(printed[count], expected, "{command:?}: {printed}");
    }
    assert_eq!(db.state(event).await, "pending 0");
    assert_eq!(db.run().await.summary(), "events=1 notifications=2");
    assert_eq!(db.state(event).await, "completed 0");
}

/// However many wait for a handler, a run looks at no more than a thousand, and at others the next time.
#[tokio::test]
async fn many_events_whose_type_was_corrected_are_processed_by_several_runs() {
    let (db, mut world) = stage().await;
    let insert = format!(
        "INSERT INTO domain_events (event_type, thread_id)
         SELECT 'chat_mesage_sent', '{BUDGET}' FROM generate_series(1, 2500)"
    );
    world.execute(insert).await;
    db.run().await;
    let correct = "UPDATE domain_events SET event_type = 'chat_message_sent'";
    db.execute(correct).await;
    for (events, waiting) in [(1_000, 1), (1_000, 1), (500, 0)] {
        let report = db.run().await;
        let found = (report.events, report.unhandled_types.len());
        assert_eq!(found, (events, waiting));
    }
}

#[tokio::test]
async fn event_that_is_too_old_expires_unless_requeued() {
    let (db, mut world) = stage().await;
    let old = world.message(BUDGET).hours_ago(25).await;
    let young = world.message(BUDGET).hours_ago(23).await;
    insta::assert_snapshot!(db.run().await.summary(), @"events=1 notifications=2 expired=1");
    insta::assert_snapshot!(db.states([old, young]).await, @"
    failed 0 expired: pending for longer than the age limit
    completed 0
    ");
    // A failed event that a person requeued is as young as the request.
    db.execute(format!(
        "UPDATE notification_processing SET processing_status = 'pending', retried_at = now() WHERE event_id = {old}"
    ))
    .await;
    insta::assert_snapshot!(db.run().await.summary(), @"events=1 merged=2");
    // By a stricter limit, the next ones are too old as well, and the exit code says so.
    world.message(BUDGET).hours_ago(2).await;
    db.fails("run --max-event-age-hours 1", 3);
    assert_eq!(db.standings().await, "completed=2 failed=1");
}

/// It waits, is named by each run, is in nobody's way, and expires.
#[tokio::test]
async fn event_without_a_handler_waits_and_expires() {
    let (db, mut world) = stage().await;
    let unknown = world.event("moon_landed").await;
    for _ in 0..3 {
        world.event("sun_set").await;
    }
    world.message(BUDGET).await;
    let report = db.run_in_batches(2).await;
    insta::assert_snapshot!(report.summary(), @r#"batches=3 events=1 notifications=2 unhandled_types=["moon_landed","sun_set"]"#);
    assert_eq!(db.state(unknown).await, "pending 0");

    // They cost no claim, and are still named.
    let newest_claim = "SELECT max(claim_token) FROM notification_processing";
    let before = db.text(newest_claim).await;
    let report = db.run().await;
    insta::assert_snapshot!(report.summary(), @r#"unhandled_types=["moon_landed","sun_set"]"#);
    assert_eq!(db.text(newest_claim).await, before);
    let log = db.binary().arg("run").ends(0).stderr;
    assert!(log.contains("moon_landed, sun_set"), "{log}");

    // Their age limit is when they are due again. It is no failure of the run.
    db.execute("UPDATE notification_processing SET occurred_at = now() - interval '25 h', next_attempt_at = now() - interval '1 h' WHERE event_id IN (1, 2, 3)")
        .await;
    let ended = db.binary().args(["run", "--format", "json"]).ends(0);
    insta::assert_snapshot!(ended.summary(), @r#"expired_unhandled={"moon_landed":1,"sun_set":2} unhandled_types=["moon_landed","sun_set"]"#);
    let expired = ended.stderr.matches("expired without a handler");
    assert_eq!(expired.count(), 1, "{ended:?}");
    insta::assert_snapshot!(db.state(unknown).await, @"failed 0 expired: no handler for its type within the age limit");
    let report = db.run().await.summary();
    assert_eq!(report, r#"unhandled_types=["sun_set"]"#);
}

/// With or without a handler, waiting or too old: its events complete without effect.
#[tokio::test]
async fn events_of_an_ignored_type_complete_without_effect() {
    let (db, mut world) = stage().await;
    let handled = world.message(BUDGET).await;
    let unknown = world.event("moon_landed").await;
    let old = world.event("sun_set").hours_ago(30).await;
    let kickoff = world.meeting("Kick-off", []).await;
    let other = world.updated(kickoff).await;
    // What waits for a handler is found when its type comes to be ignored.
    let waiting = world.event("rain_fell").await;
    db.execute(format!(
        "UPDATE notification_processing SET unhandled_type = 'rain_fell', next_attempt_at = now() + interval '20 h' WHERE event_id = {waiting}"
    ))
    .await;
    for (arguments, expected) in [
        (
            &["run", "--dry-run"][..],
            "moon_landed  ignored by NOTIFY_FANOUT_IGNORE_TYPES",
        ),
        (
            &["run", "--dry-run"],
            "events=1 notifications=0 merged=0 emails=0 deliveries=0 suppressed=0 failed=0 expired=0 ignored=4",
        ),
        (&["run"], "expired=0 ignored=4 expired_unhandled=0"),
        (
            &["status"],
            "Ignored     chat_message_sent, moon_landed, sun_set, rain_fell; 4 completed",
        ),
        (
            &["explain", &handled.to_string()],
            "ignored: its type is in",
        ),
    ] {
        let mut command = db.binary();
        let ignored = "chat_message_sent, moon_landed,sun_set,rain_fell";
        command.env("NOTIFY_FANOUT_IGNORE_TYPES", ignored);
        let printed = command.args(arguments).prints();
        assert!(printed.contains(expected), "{arguments:?}: {printed}");
    }
    for event in [handled, unknown, old, waiting] {
        let ignored = "completed 0 ignored: its type is in NOTIFY_FANOUT_IGNORE_TYPES";
        assert_eq!(db.state(event).await, ignored);
    }
    assert_eq!(db.state(other).await, "completed 0");
    assert_eq!(db.count("notifications").await, 0);
}

/// A binary that has the handler finds what an older one has put aside.
#[tokio::test]
async fn type_that_becomes_known_is_processed() {
    let (db, mut world) = stage().await;
    let event = world.message(BUDGET).await;
    // As an older binary would have left it.
    db.execute("UPDATE notification_processing SET unhandled_type = 'chat_message_sent', next_attempt_at = now() + interval '20 h'")
        .await;
    assert_eq!(db.run().await.summary(), "events=1 notifications=2");
    assert_eq!(db.state(event).await, "completed 0");
    let waiting = "notification_processing WHERE unhandled_type IS NOT NULL";
    assert_eq!(db.count(waiting).await, 0);
}

/// Another program may have counted as far as a column can.
#[tokio::test]
async fn retry_count_may_be_as_large_as_can_be() {
    let (db, mut world) = stage().await;
    messages_apart(&mut world, 4).await;
    db.execute(
        "UPDATE notification_processing SET retry_count = 2147483647,
                claimed_at = CASE WHEN event_id = 1 THEN now() END WHERE event_id <= 2",
    )
    .await;
    db.prints("run --dry-run");
    assert_eq!(db.run().await.events, 4);
}

/// The wishes of people change between the claim and the write: the write decides.
#[tokio::test]
async fn preference_that_changes_after_the_claim_counts() {
    let (db, mut world) = stage().await;
    world.message(BUDGET).await;
    let mut hold = db.hold_notifications().await;
    let (report, ()) = tokio::join!(db.run(), async {
        db.until_waiting(1).await;
        hold.execute(&format!(
            "INSERT INTO user_notification_preferences (user_id, scope_type, status) VALUES ('{BO}', 'global', 'muted')"
        ))
        .await;
        hold.release().await;
    });
    insta::assert_snapshot!(report.summary(), @"events=1 notifications=1 suppressed=1");
}
