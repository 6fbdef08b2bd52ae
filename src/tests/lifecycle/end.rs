//! How a run ends: at its limit, after its time, asked to stop; and what it logs.

use super::{messages_apart, stage};
use crate::harness::{BUDGET, RunCommand as _, Summary as _, TestDatabase, Worker, binary_at};

#[tokio::test]
async fn limited_run_settles_the_oldest() {
    let (db, mut world) = stage().await;
    messages_apart(&mut world, 7).await;
    let mut settings = db.settings();
    settings.limit = Some(5);
    settings.batch_size = 3;
    let report = db.run_with(&settings).await;
    insta::assert_snapshot!(report.summary(), @"batches=2 events=5 notifications=10 stopped_early=true left=2");
    let left = "SELECT event_id FROM notification_processing WHERE processing_status = 'pending' ORDER BY 1";
    assert_eq!(db.texts(left).await, ["6", "7"]);
}

/// After its time a run claims nothing more.
#[tokio::test]
async fn run_whose_time_is_up_claims_nothing_more() {
    let (db, mut world) = stage().await;
    messages_apart(&mut world, 20).await;
    // It may be late for the very first batch as well.
    let output = db.prints("run --workers 1 --batch-size 5 --max-runtime 1ms");
    let due = "notification_processing WHERE processing_status = 'pending'";
    let due = db.count(due).await;
    assert!(due >= 15, "{due}");
    let due = format!("{due} events still due: the next run continues");
    assert!(output.contains(&due), "{output}");
    let dry = db.prints("--dry-run --max-runtime 1ms --batch-size 1");
    let due = "still due: this dry run ended before them";
    assert!(dry.contains(due), "{dry}");
}

/// SIGTERM and SIGINT: the batch in hand is finished, and nothing more is claimed.
#[tokio::test]
async fn run_that_is_asked_to_stop_finishes_its_batch() {
    for signal in ["TERM", "INT"] {
        let (db, mut world) = stage().await;
        messages_apart(&mut world, 30).await;
        let hold = db.hold_notifications().await;
        let mut command = db.binary();
        command.args(["--workers", "1", "--batch-size", "10", "--format", "json"]);
        let worker = Worker::start(&mut command);
        db.until_waiting(1).await;
        worker.signal(signal);
        hold.release().await;
        let report = worker.ends(0).await.report();
        assert_eq!(report["events"], 10);
        assert_eq!(report["stopped_early"], true);
        assert_eq!(db.standings().await, "completed=10 pending=20");
    }
}

/// What it had in hand is whole after the rescue.
#[tokio::test]
async fn second_signal_ends_a_run_at_once() {
    let (db, mut world) = stage().await;
    for _ in 0..30 {
        world.message(BUDGET).await;
    }
    let hold = db.hold_notifications().await;
    let worker = Worker::start(db.binary().args(["--workers", "1", "--batch-size", "10"]));
    db.until_waiting(1).await;
    // Two of the same kind could arrive as one.
    worker.signal("TERM");
    worker.signal("INT");
    let ended = worker.end().await;
    assert!(matches!(ended.status.code(), Some(130 | 143)), "{ended:?}");
    hold.release().await;
    db.until_workers_are_gone().await;
    assert_eq!(db.count("notifications").await, 0);
    // Ten, and as many of their thread.
    assert_eq!(db.standings().await, "pending=10 processing=20");

    db.claims_grow_old().await;
    insta::assert_snapshot!(db.run().await.summary(), @"rescued=20 events=30 notifications=2 merged=58");
}

/// A failed run has a reason; a database that is not migrated has a remedy.
#[tokio::test]
async fn run_without_the_schema_names_migrate() {
    let db = TestDatabase::empty().await;
    let mut run = binary_at(&db.superuser_url());
    let log = run.arg("run").ends(1).stderr;
    assert!(log.contains("notify-fan-out migrate"), "{log}");
}

/// What the application's functions say to the client does not swallow what the job has to say.
#[tokio::test]
async fn warnings_of_the_application_are_not_logged() {
    let (db, mut world) = stage().await;
    messages_apart(&mut world, 3).await;
    let warning = "RAISE WARNING 'secret of %', NEW.user_id";
    db.answers("true", warning).await;
    let mut command = db.binary();
    let log = command.args(["run", "--batch-size", "1"]).ends(0).stderr;
    assert_eq!(log.matches("batch settled").count(), 3, "{log}");
    assert!(!log.contains("secret"), "{log}");
}
