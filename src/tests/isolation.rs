//! What stands in the way of a batch stops nothing else, and is charged to no innocent event.

use std::time::Duration;

use notify_fan_out::fan_out::Settings;
use serde_json::json;

use crate::failures::Stage;
use crate::harness::{TestDatabase, Worker};

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
async fn the_trouble_of_the_server() {
    for sqlstate in ["53100", "53200", "58P01", "57014", "XX000"] {
        let stage = Stage::new(20).await;
        let answer = format!("RAISE EXCEPTION 'no space left' USING ERRCODE = '{sqlstate}'");
        stage.answers_where("true", &answer).await;
        for _ in 0..6 {
            let run = stage.db.cli(&["run"]).code(4);
            let log = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
            assert!(log.contains("no space left"), "{log}");
            assert_untouched(&stage).await;
            stage.time_passes().await;
        }
        let found = stage.db.state(stage.events[0]).await;
        assert_eq!(
            found,
            format!("pending 0 server error: SQLSTATE {sqlstate}: no space left")
        );
        stage
            .db
            .execute("DROP TRIGGER answer ON notifications")
            .await;
        let report = stage.db.run().await;
        assert_eq!((report.events, report.notifications), (20, 20));
    }
}

/// Trouble that comes with one event only: the others are written, and it keeps its attempts.
#[tokio::test]
async fn trouble_with_one_event() {
    let stage = Stage::new(20).await;
    let offender = stage.events[7];
    stage
        .answers(
            offender,
            "RAISE EXCEPTION 'damaged' USING ERRCODE = 'XX001'",
        )
        .await;
    let run = stage.db.cli(&["run"]).code(4);
    let output = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    assert!(
        output.contains("events=19") && output.contains("released=1"),
        "{output}"
    );
    stage.assert_others_are_fine(offender).await;
    insta::assert_snapshot!(stage.db.state(offender).await, @"pending 0 server error: SQLSTATE XX001: damaged");
}

/// Somebody's transaction keeps a row that some of the events need: the others are written, those
/// keep their attempts and say what they waited for, as often as it happens.
#[tokio::test]
async fn a_row_that_stays_locked() {
    let stage = Stage::new(60).await;
    stage
        .db
        .execute("CREATE TABLE counters (id int PRIMARY KEY, n int); INSERT INTO counters VALUES (1, 0); GRANT ALL ON counters TO PUBLIC")
        .await;
    let locked = &stage.events[20..26];
    stage
        .answers_where(
            &format!("NEW.event_id BETWEEN {} AND {}", locked[0], locked[5]),
            "UPDATE counters SET n = n + 1",
        )
        .await;
    let mut hold = stage.db.hold("SET LOCAL application_name = 'ledger'").await;
    hold.execute("SELECT FROM counters FOR UPDATE").await;
    let holder = stage
        .db
        .text("SELECT pid FROM pg_stat_activity WHERE application_name = 'ledger' AND datname = current_database()")
        .await;
    let hasty = Settings {
        max_runtime: Duration::from_secs(4),
        ..stage.db.settings()
    };
    let report = stage.db.run_with(&hasty).await;
    // The time was over with the first wait.
    assert_eq!((report.events, report.released), (0, 60));
    assert_untouched(&stage).await;
    stage.time_passes().await;

    let ended = Worker::start(stage.db.binary().args(["--format", "json"]));
    let ended = ended.end().await;
    let report = ended.report();
    let counts = ["events", "released", "retried"].map(|name| report[name].clone());
    assert_eq!(counts, [54, 6, 0], "{ended:?}");
    let found = stage.db.state(locked[3]).await;
    let by = format!("held by pid {holder}, ledger, user postgres");
    let why = "pending 0 lock timeout: SQLSTATE 55P03: canceling statement due to lock timeout; ";
    assert!(found.starts_with(&format!("{why}{by}")), "{found}");
    let warning = format!("waited in vain for a lock {by}");
    assert!(ended.stderr.contains(&warning), "{ended:?}");
    hold.release().await;
    stage.time_passes().await;
    let report = stage.db.run().await;
    assert_eq!((report.events, report.released), (6, 0));
    assert_eq!(
        stage
            .db
            .count(
                "notification_processing WHERE processing_status = 'completed' AND retry_count = 0"
            )
            .await,
        60
    );
}

/// Time and stop are asked before each try: what is not settled by then keeps its attempt.
#[tokio::test]
async fn time_that_is_over() {
    for answer in [
        "PERFORM pg_terminate_backend(pg_backend_pid())",
        "RAISE EXCEPTION 'not now'",
        "RAISE EXCEPTION 'again' USING ERRCODE = '40001'",
        "RAISE EXCEPTION 'locked' USING ERRCODE = '55P03'",
    ] {
        let stage = Stage::new(20).await;
        stage.answers_where("true", answer).await;
        let hold = stage
            .db
            .hold("LOCK TABLE notifications IN SHARE MODE")
            .await;
        let worker = Worker::start(stage.db.binary().args(["run", "--format", "json"]));
        stage.db.until_waiting(1).await;
        worker.signal("TERM");
        hold.release().await;
        let ended = worker.end().await;
        let report = ended.report();
        assert_eq!(report["released"], 20, "{answer}: {ended:?}");
        assert_untouched(&stage).await;
    }
}

/// What is checked at the commit only is found with its event all the same.
#[tokio::test]
async fn a_constraint_that_is_deferred() {
    let stage = Stage::new(20).await;
    let offender = stage.events[7];
    stage
        .db
        .execute(format!(
            "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'too late' USING ERRCODE = 'check_violation'; END $$;
             CREATE CONSTRAINT TRIGGER late AFTER INSERT ON notifications DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW WHEN (NEW.event_id = {offender}) EXECUTE FUNCTION late()"
        ))
        .await;
    let report = stage.db.run().await;
    assert_eq!((report.events, report.failed), (19, 1));
    stage.assert_others_are_fine(offender).await;
    insta::assert_snapshot!(stage.db.state(offender).await, @"failed 0 database refused: SQLSTATE 23514: too late");
}

/// An event that was refused is claimed apart from then on: no other is written again because of it.
#[tokio::test]
async fn refused_events_are_claimed_apart() {
    let mut stage = Stage::new(10).await;
    let offenders = [stage.events[2], stage.events[6]];
    let condition = format!("NEW.event_id IN ({}, {})", offenders[0], offenders[1]);
    stage
        .answers_where(&condition, "RAISE EXCEPTION 'not now'")
        .await;
    let report = stage.db.run().await;
    assert_eq!((report.events, report.retried, report.batches), (8, 2, 1));
    stage.grant(10).await;
    stage.time_passes().await;
    let report = stage.db.run().await;
    assert_eq!((report.events, report.retried, report.batches), (10, 2, 2));
    let claims = stage
        .db
        .texts("SELECT count(*) || ' ' || processing_status FROM notification_processing GROUP BY claim_token, processing_status ORDER BY claim_token")
        .await;
    assert_eq!(claims, ["8 completed", "2 pending", "10 completed"]);
}

/// Notifications are created in the order of their events, in parts as well.
#[tokio::test]
async fn the_order_of_what_is_written_in_parts() {
    let stage = Stage::new(40).await;
    stage
        .answers_where(
            "NEW.event_id % 5 = 0",
            "RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation'",
        )
        .await;
    let report = stage.db.run().await;
    assert_eq!((report.events, report.failed, report.batches), (32, 8, 1));
    let order =
        "SELECT array_agg(event_id ORDER BY created_at) = array_agg(event_id ORDER BY event_id)
        AND count(DISTINCT created_at) = 32 FROM notifications";
    assert_eq!(stage.db.text(order).await, "true");
}

/// A recipient whom a foreign key of the application refuses is skipped, and the event reaches the
/// others; dry run and explain say so.
#[tokio::test]
async fn a_recipient_whom_a_foreign_key_refuses() {
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
    let event = world.event("chat_message_sent").thread(budget).await;
    for (arguments, why) in [
        (
            &["run", "--dry-run", "--format", "json"][..],
            "unknown_recipient",
        ),
        (&["explain", &event.to_string()], "a foreign key on user_id"),
    ] {
        let run = db.cli(arguments).success();
        let output = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
        assert!(output.contains(why), "{output}");
    }
    let report = db.run().await;
    assert_eq!(
        (report.events, report.notifications, report.suppressed),
        (1, 1, 1)
    );
}

/// A trigger of the application that skips the update which settles an event.
#[tokio::test]
async fn event_that_can_not_be_settled_is_not_written() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let bo = world.user("Bo").await;
    let event = world
        .event("project_access_revoked")
        .payload(json!({"affected_user_id": bo}))
        .await;
    db.execute(
        "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
         CREATE TRIGGER skip BEFORE UPDATE ON notification_processing
            FOR EACH ROW WHEN (NEW.processing_status = 'completed') EXECUTE FUNCTION skip()",
    )
    .await;
    let report = db.run().await;
    assert_eq!((report.events, report.retried), (0, 1));
    assert_eq!(db.count("notifications").await, 0);
    let state = db.state(event).await;
    assert!(state.contains("settled 0 of 1 events"), "{state}");
}
