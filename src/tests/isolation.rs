//! What stands in the way of a batch stops nothing else, and is charged to no innocent event.

use std::time::Duration;

use notify_fan_out::fan_out::FanOutSettings;

use crate::failures::Stage;
use crate::harness::{RunCommand as _, Summary as _, TestDatabase, Worker};

/// No event of the stage has spent an attempt, and all wait.
async fn assert_untouched(stage: &Stage) {
    let pending = "notification_processing WHERE processing_status = 'pending'
        AND coalesce(retry_count, 0) = 0 AND claimed_at IS NULL";
    assert_eq!(stage.db.count(pending).await, stage.events.len() as u64);
    assert_eq!(stage.db.count("notifications").await, 0);
}

/// A full disk, no memory, a missing library, a statement that somebody cancels: the run ends and says
/// so, however often it happens, and all is done once it is over.
#[tokio::test]
async fn trouble_of_the_server_ends_the_run_and_spends_no_attempt() {
    for sqlstate in ["53100", "53200", "58P01", "57014", "XX000"] {
        let stage = Stage::new(20).await;
        let db = &stage.db;
        db.refuses("true", sqlstate, "no space left").await;
        for _ in 0..6 {
            let log = db.fails("run", 4);
            assert!(log.contains("no space left"), "{log}");
            assert_untouched(&stage).await;
            db.time_passes().await;
        }
        assert_eq!(
            db.state(stage.events[0]).await,
            format!("pending 0 server error: SQLSTATE {sqlstate}: no space left")
        );
        db.execute("DROP TRIGGER answer ON notifications").await;
        assert_eq!(db.run().await.events, 20);
    }
}

#[tokio::test]
async fn trouble_of_the_server_with_one_event_leaves_the_others_alone() {
    let stage = Stage::new(20).await;
    let offender = stage.events[7];
    let condition = format!("NEW.event_id = {offender}");
    stage.db.refuses(&condition, "XX001", "damaged").await;
    let mut command = stage.db.binary();
    let ended = command.args(["run", "--format", "json"]).ends(4);
    insta::assert_snapshot!(ended.summary(), @"events=19 notifications=19 emails=19 released=1");
    stage.assert_others_are_fine(offender).await;
    insta::assert_snapshot!(stage.db.state(offender).await, @"pending 0 server error: SQLSTATE XX001: damaged");
}

/// Somebody's transaction keeps a row that some of the events need: the others are written, those
/// keep their attempts and say what they waited for, as often as it happens.
#[tokio::test]
async fn row_that_stays_locked_holds_up_only_those_that_need_it() {
    let stage = Stage::new(60).await;
    let db = &stage.db;
    db.execute("CREATE TABLE counters (id int PRIMARY KEY, n int); INSERT INTO counters VALUES (1, 0); GRANT ALL ON counters TO PUBLIC")
        .await;
    let locked = &stage.events[20..26];
    let condition = format!("NEW.event_id BETWEEN {} AND {}", locked[0], locked[5]);
    db.answers(&condition, "UPDATE counters SET n = n + 1")
        .await;
    let mut hold = db.hold("SET LOCAL application_name = 'ledger'").await;
    hold.execute("SELECT FROM counters FOR UPDATE").await;
    let holder = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ledger' AND datname = current_database()";
    let holder = db.text(holder).await;
    let hasty = FanOutSettings {
        max_runtime: Duration::from_secs(4),
        ..db.settings()
    };
    // The time was over with the first wait.
    let report = db.run_with(&hasty).await;
    assert_eq!((report.events, report.released), (0, 60));
    assert_untouched(&stage).await;
    db.time_passes().await;

    // Time for two waits of five seconds each; the parts of the batch wait less.
    let ended =
        Worker::start(
            db.binary()
                .args(["run", "--max-runtime", "12s", "--format", "json"]),
        );
    let ended = ended.ends(0).await;
    let report = ended.report();
    let counts = ["events", "released", "retried"].map(|name| report[name].clone());
    assert_eq!(counts, [54, 6, 0], "{ended:?}");
    let found = db.state(locked[3]).await;
    let by = format!("held by pid {holder}, ledger, user postgres");
    let why = "pending 0 lock timeout: SQLSTATE 55P03: canceling statement due to lock timeout; ";
    assert!(found.starts_with(&format!("{why}{by}")), "{found}");
    let warning = format!("waited in vain for a lock {by}");
    assert!(ended.stderr.contains(&warning), "{ended:?}");
    hold.release().await;
    db.time_passes().await;
    let report = db.run().await;
    assert_eq!((report.events, report.released), (6, 0));
    let completed =
        "notification_processing WHERE processing_status = 'completed' AND retry_count = 0";
    assert_eq!(db.count(completed).await, 60);
}

/// Time and stop are asked before each try: what is not settled by then keeps its attempt.
#[tokio::test]
async fn what_is_not_settled_in_time_spends_no_attempt() {
    for answer in [
        "PERFORM pg_terminate_backend(pg_backend_pid())",
        "RAISE EXCEPTION 'not now'",
        "RAISE EXCEPTION 'again' USING ERRCODE = '40001'",
        "RAISE EXCEPTION 'locked' USING ERRCODE = '55P03'",
    ] {
        let stage = Stage::new(20).await;
        stage.db.answers("true", answer).await;
        let hold = stage.db.hold_notifications().await;
        let worker = Worker::start(stage.db.binary().args(["run", "--format", "json"]));
        stage.db.until_waiting(1).await;
        worker.signal("TERM");
        hold.release().await;
        let ended = worker.end().await;
        assert_eq!(ended.report()["released"], 20, "{answer}: {ended:?}");
        assert_untouched(&stage).await;
    }
}

/// No other event is written again because of one that was refused.
#[tokio::test]
async fn refused_events_are_claimed_apart() {
    let mut stage = Stage::new(10).await;
    let offenders = [stage.events[2], stage.events[6]];
    let condition = format!("NEW.event_id IN ({}, {})", offenders[0], offenders[1]);
    stage.db.refuses(&condition, "P0001", "not now").await;
    let report = stage.db.run().await;
    assert_eq!((report.events, report.retried, report.batches), (8, 2, 1));
    stage.grant(10).await;
    stage.db.time_passes().await;
    let report = stage.db.run().await;
    assert_eq!((report.events, report.retried, report.batches), (10, 2, 2));
    let claims = "SELECT count(*) || ' ' || processing_status FROM notification_processing GROUP BY claim_token, processing_status ORDER BY claim_token";
    let claims = stage.db.texts(claims).await;
    assert_eq!(claims, ["8 completed", "2 pending", "10 completed"]);
}

#[tokio::test]
async fn notifications_written_in_parts_keep_the_order_of_their_events() {
    let stage = Stage::new(40).await;
    let condition = "NEW.event_id % 5 = 0";
    stage.db.refuses(condition, "23514", "no").await;
    let report = stage.db.run().await;
    assert_eq!((report.events, report.failed, report.batches), (32, 8, 1));
    let order =
        "SELECT array_agg(event_id ORDER BY created_at) = array_agg(event_id ORDER BY event_id)
        AND count(DISTINCT created_at) = 32 FROM notifications";
    assert_eq!(stage.db.text(order).await, "true");
}

/// A foreign key of the application refuses them: the event reaches the others; dry run and explain say so.
#[tokio::test]
async fn recipient_whom_the_database_refuses_is_skipped() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let people = world.users(["Ada", "Bo"]).await;
    let budget = world.thread("Budget", people).await;
    db.execute(
        "CREATE SCHEMA auth; CREATE TABLE auth.users (id uuid PRIMARY KEY);
         GRANT USAGE ON SCHEMA auth TO PUBLIC; GRANT SELECT ON auth.users TO PUBLIC;
         INSERT INTO auth.users SELECT id FROM profiles WHERE full_name = 'Ada';
         ALTER TABLE notifications ADD FOREIGN KEY (user_id) REFERENCES auth.users (id)",
    )
    .await;
    let event = world.message(budget).await.to_string();
    let dry = db.prints("run --dry-run --format json");
    assert!(dry.contains("unknown_recipient"), "{dry}");
    let explained = db.prints(&format!("explain {event}"));
    assert!(
        explained.contains("a foreign key on user_id"),
        "{explained}"
    );
    let report = db.run().await.summary();
    assert_eq!(report, "events=1 notifications=1 suppressed=1");
}

/// A trigger of the application skips the update which settles it.
#[tokio::test]
async fn event_that_can_not_be_settled_is_not_written() {
    let stage = Stage::new(1).await;
    let db = &stage.db;
    db.execute(
        "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
         CREATE TRIGGER skip BEFORE UPDATE ON notification_processing
            FOR EACH ROW WHEN (NEW.processing_status = 'completed') EXECUTE FUNCTION skip()",
    )
    .await;
    assert_eq!(db.run().await.summary(), "retried=1");
    assert_eq!(db.count("notifications").await, 0);
    let found = db.state(stage.events[0]).await;
    assert!(found.contains("settled 0 of 1 events"), "{found}");
}
