//! Where an event stands between its commit and its end: waiting, stuck, too old, unknown; and how
//! a run ends.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{TestDatabase, Worker, World, id};

struct Stage {
    db: TestDatabase<'static>,
    world: World,
    budget: Uuid,
}

impl Stage {
    async fn new() -> Self {
        let db = TestDatabase::new().await;
        let mut world = db.world().await;
        let readers = world.users(["Ada", "Bo"]).await;
        let budget = world.thread("Budget", readers).await;
        Self { db, world, budget }
    }

    async fn message(&mut self) -> i64 {
        self.world
            .event("chat_message_sent")
            .thread(self.budget)
            .await
    }

    async fn messages(&mut self, count: usize) {
        for _ in 0..count {
            self.message().await;
        }
    }

    /// Messages in a thread each, none of which is claimed for another's sake.
    async fn messages_apart(&mut self, count: usize) {
        let readers = ["Ada", "Bo"].map(|name| id("user", name));
        for no in 0..count {
            let thread = self.world.thread(&format!("Thread {no}"), readers).await;
            self.world.event("chat_message_sent").thread(thread).await;
        }
    }
}

#[tokio::test]
async fn nothing_is_due() {
    let stage = Stage::new().await;
    assert!(stage.db.run().await.is_idle());
    let run = stage.db.cli(&["run"]).success();
    let output = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    assert!(
        output
            .lines()
            .last()
            .is_some_and(|line| line.contains("Z Job completed seconds=")),
        "{output}"
    );
}

/// Claims are taken from workers that are gone: pending again, or failed where it was the last
/// attempt. A younger claim is left alone.
#[tokio::test]
async fn stuck_claims() {
    let mut stage = Stage::new().await;
    stage.messages(4).await;
    stage
        .db
        .execute(
            "UPDATE notification_processing SET processing_status = 'processing', processor_id = 'gone',
                    claim_token = event_id, claimed_at = now() - interval '11 min' WHERE event_id <= 3;
             UPDATE notification_processing SET retry_count = 4 WHERE event_id = 2;
             UPDATE notification_processing SET claimed_at = now() - interval '9 min' WHERE event_id = 3;
             -- An older job did not say when.
             UPDATE notification_processing SET processing_status = 'processing', created_at = now() - interval '1 h'
              WHERE event_id = 4",
        )
        .await;
    let report = stage.db.run().await;
    assert_eq!((report.rescued, report.failed, report.events), (2, 1, 2));
    let mut states = Vec::new();
    for event in 1..=4 {
        states.push(stage.db.state(event).await);
    }
    insta::assert_snapshot!(states.join("\n"), @"
    completed 1
    failed 4 stuck: claimed by gone, which never settled it
    processing 0
    completed 0
    ");
}

/// A worker that is writing is alive, however long it takes: nobody takes its claim.
#[tokio::test]
async fn a_slow_worker_is_not_stuck() {
    let mut stage = Stage::new().await;
    stage.message().await;
    stage
        .db
        .execute(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END $$;
             CREATE TRIGGER wait BEFORE INSERT ON notifications FOR EACH ROW EXECUTE FUNCTION wait()",
        )
        .await;
    let hold = stage.db.hold("SELECT pg_advisory_xact_lock(1)").await;
    let mut impatient = stage.db.settings();
    impatient.stuck_after = Duration::from_millis(1);
    let (slow, ()) = tokio::join!(stage.db.run(), async {
        stage.db.until_waiting(1).await;
        assert!(stage.db.run_with(&impatient).await.is_idle());
        hold.release().await;
    });
    assert_eq!((slow.events, slow.lost_claims), (1, 0));
}

/// The attempt is spent by the claim: an event that kills each worker fails in the end.
#[tokio::test]
async fn an_event_that_kills_its_worker() {
    let mut stage = Stage::new().await;
    let event = stage.message().await;
    let mut settings = stage.db.settings();
    settings.max_attempts = 3;
    for attempt in 1..=3 {
        let hold = stage
            .db
            .hold("LOCK TABLE notifications IN SHARE MODE")
            .await;
        let mut command = stage.db.binary();
        command.env("NOTIFY_FANOUT_MAX_ATTEMPTS", "3");
        let worker = Worker::start(&mut command);
        stage.db.until_waiting(1).await;
        worker.kill();
        stage
            .db
            .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'notify-fan-out'")
            .await;
        hold.release().await;
        assert!(
            stage
                .db
                .state(event)
                .await
                .starts_with(&format!("processing {}", attempt - 1))
        );
        stage
            .db
            .execute("UPDATE notification_processing SET claimed_at = claimed_at - interval '1 h'")
            .await;
    }
    let report = stage.db.run_with(&settings).await;
    assert_eq!((report.failed, report.events, report.rescued), (1, 0, 0));
    assert!(stage.db.state(event).await.starts_with("failed 2 stuck"));
}

/// The application corrects the type of an event that nothing handles: the next run looks at it again.
#[tokio::test]
async fn a_type_that_was_corrected() {
    let mut stage = Stage::new().await;
    let event = stage
        .world
        .event("chat_mesage_sent")
        .thread(stage.budget)
        .await;
    let report = stage.db.run().await;
    assert!(report.unhandled_types.contains("chat_mesage_sent"));
    stage
        .db
        .execute("UPDATE domain_events SET event_type = 'chat_message_sent'")
        .await;
    let dry = stage.db.cli(&["run", "--dry-run"]).get_output().clone();
    assert!(String::from_utf8_lossy(&dry.stdout).contains("unread in Budget"));
    // Nobody has to wait for a run to find it; what nobody wants is only what failed.
    let counted = |arguments: &[&str]| {
        let output = stage.db.cli(arguments).get_output().stdout.clone();
        let report: serde_json::Value = serde_json::from_slice(&output).expect("a report");
        report
            .get("retried_count")
            .or(report.get("discarded_count"))
            .cloned()
    };
    let id = event.to_string();
    assert_eq!(
        counted(&["discard", &id, "--format", "json"]),
        Some(0.into())
    );
    assert_eq!(
        counted(&["retry", &id, "--dry-run", "--format", "json"]),
        Some(1.into())
    );
    assert_eq!(counted(&["retry", &id, "--format", "json"]), Some(1.into()));
    assert_eq!(stage.db.state(event).await, "pending 0");
    let report = stage.db.run().await;
    assert_eq!((report.events, report.unhandled_types.len()), (1, 0));
    assert_eq!(stage.db.state(event).await, "completed 0");
}

/// However many wait for a handler, a run looks at no more than a thousand, and at others the next time.
#[tokio::test]
async fn many_types_that_were_corrected() {
    let mut stage = Stage::new().await;
    let budget = stage.budget;
    stage
        .world
        .execute(format!(
            "INSERT INTO domain_events (event_type, thread_id)
             SELECT 'chat_mesage_sent', '{budget}' FROM generate_series(1, 2500)"
        ))
        .await;
    stage.db.run().await;
    stage
        .db
        .execute("UPDATE domain_events SET event_type = 'chat_message_sent'")
        .await;
    let mut events = Vec::new();
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let report = stage.db.run().await;
        events.push(report.events);
        waiting.push(report.unhandled_types.len());
    }
    assert_eq!((events, waiting), (vec![1_000, 1_000, 500], vec![1, 1, 0]));
}

/// Nobody knows which of the events of a claim kills its worker. They are claimed in smaller and smaller
/// groups until it is found; the others complete.
#[tokio::test]
async fn an_event_that_kills_its_worker_among_a_thousand() {
    let mut stage = Stage::new().await;
    let readers = ["Ada", "Bo"].map(|name| id("user", name));
    let kickoff = stage.world.meeting("Kick-off", readers).await;
    let poison = stage.world.thread("Poison", readers).await;
    let others = |count: u32| {
        format!(
            "INSERT INTO domain_events (event_type, meeting_id) SELECT 'meeting_updated', '{kickoff}' FROM generate_series(1, {count})"
        )
    };
    stage.world.execute(others(300)).await;
    let killer = stage.world.event("chat_message_sent").thread(poison).await;
    stage.world.execute(others(699)).await;
    let db = &stage.db;
    db.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN PERFORM pg_advisory_xact_lock_shared(77); RETURN NEW; END $$;
         CREATE TRIGGER wait BEFORE INSERT ON notifications FOR EACH ROW
            WHEN (NEW.title LIKE '%Poison%') EXECUTE FUNCTION wait()",
    )
    .await;
    let _hold = db.hold("SELECT pg_advisory_xact_lock(77)").await;
    let mut deaths = 0;
    while deaths < 20 {
        let mut worker = Worker::start(&mut db.binary());
        while !worker.has_ended() && db.count("pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").await == 0 {}
        if worker.has_ended() {
            break;
        }
        worker.kill();
        deaths += 1;
        db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'notify-fan-out';
             UPDATE notification_processing SET claimed_at = claimed_at - interval '1 h' WHERE processing_status = 'processing'",
        )
        .await;
    }
    assert_eq!(deaths, 5);
    assert!(db.state(killer).await.starts_with("failed 4 stuck"));
    assert_eq!(
        db.statuses().await,
        [("completed".to_owned(), 999), ("failed".to_owned(), 1)].into()
    );
}

#[tokio::test]
async fn too_old() {
    let mut stage = Stage::new().await;
    let old = stage
        .world
        .event("chat_message_sent")
        .thread(stage.budget)
        .hours_ago(25)
        .await;
    let young = stage
        .world
        .event("chat_message_sent")
        .thread(stage.budget)
        .hours_ago(23)
        .await;
    let report = stage.db.run().await;
    assert_eq!((report.expired, report.events, report.failed), (1, 1, 0));
    insta::assert_snapshot!(stage.db.state(old).await, @"failed 0 expired: pending for longer than the age limit");
    assert_eq!(stage.db.state(young).await, "completed 0");

    // By a stricter limit, the next ones are too old as well, and the exit code says so.
    stage
        .world
        .event("chat_message_sent")
        .thread(stage.budget)
        .hours_ago(2)
        .await;
    stage.db.cli(&["run", "--max-event-age-hours", "1"]).code(3);
    assert_eq!(stage.db.statuses().await["failed"], 2);
}

/// A failed event that a person requeued is as young as the request.
#[tokio::test]
async fn too_old_but_wanted() {
    let mut stage = Stage::new().await;
    let old = stage
        .world
        .event("chat_message_sent")
        .thread(stage.budget)
        .hours_ago(25)
        .await;
    stage
        .db
        .execute("UPDATE notification_processing SET retried_at = now()")
        .await;
    let report = stage.db.run().await;
    assert_eq!((report.expired, report.events), (0, 1));
    assert!(stage.db.state(old).await.starts_with("completed"));
}

/// A type without a handler waits, is named by each run, is in nobody's way, and expires.
#[tokio::test]
async fn an_unknown_type() {
    let mut stage = Stage::new().await;
    let unknown = stage.world.event("moon_landed").await;
    for _ in 0..3 {
        stage.world.event("sun_set").await;
    }
    stage.message().await;
    let mut small = stage.db.settings();
    small.batch_size = 2;
    let report = stage.db.run_with(&small).await;
    assert_eq!((report.events, report.failed, report.expired), (1, 0, 0));
    assert_eq!(
        Vec::from_iter(&report.unhandled_types),
        ["moon_landed", "sun_set"]
    );
    assert_eq!(stage.db.state(unknown).await, "pending 0");

    // They cost no claim, and are still named.
    let before = stage
        .db
        .text("SELECT max(claim_token) FROM notification_processing")
        .await;
    let report = stage.db.run().await;
    assert!(report.is_idle());
    assert_eq!(report.unhandled_types.len(), 2);
    assert_eq!(
        stage
            .db
            .text("SELECT max(claim_token) FROM notification_processing")
            .await,
        before
    );
    let run = stage.db.cli(&["run"]).success();
    let log = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert!(log.contains("moon_landed, sun_set"), "{log}");

    // Their age limit is when they are due again. It is no failure of the run.
    stage
        .db
        .execute("UPDATE notification_processing SET occurred_at = now() - interval '25 h', next_attempt_at = now() - interval '1 h' WHERE event_id IN (1, 2, 3)")
        .await;
    let run = stage.db.cli(&["run", "--format", "json"]).success();
    let report: Value = serde_json::from_slice(&run.get_output().stdout).expect("JSON");
    assert_eq!(
        [
            &report["failed"],
            &report["expired"],
            &report["expired_unhandled"]
        ],
        [
            &json!(0),
            &json!(0),
            &json!({"moon_landed": 1, "sun_set": 2})
        ]
    );
    let log = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert_eq!(log.matches("expired without a handler").count(), 1, "{log}");
    insta::assert_snapshot!(stage.db.state(unknown).await, @"failed 0 expired: no handler for its type within the age limit");
    let report = stage.db.run().await;
    assert_eq!(Vec::from_iter(&report.unhandled_types), ["sun_set"]);
}

/// With or without a handler, waiting or too old: its events complete without effect.
#[tokio::test]
async fn an_ignored_type() {
    let mut stage = Stage::new().await;
    let handled = stage.message().await;
    let unknown = stage.world.event("moon_landed").await;
    let old = stage.world.event("sun_set").hours_ago(30).await;
    let kickoff = stage.world.meeting("Kick-off", []).await;
    let other = stage.world.event("meeting_updated").meeting(kickoff).await;
    // What waits for a handler is found when its type comes to be ignored.
    let waiting = stage.world.event("rain_fell").await;
    stage
        .db
        .execute(format!(
            "UPDATE notification_processing SET unhandled_type = 'rain_fell', next_attempt_at = now() + interval '20 h' WHERE event_id = {waiting}"
        ))
        .await;
    let cli = |arguments: &[&str]| {
        let mut command = stage.db.binary();
        command.args(arguments).env(
            "NOTIFY_FANOUT_IGNORE_TYPES",
            "chat_message_sent, moon_landed,sun_set,rain_fell",
        );
        let run = assert_cmd::Command::from_std(command).assert().success();
        String::from_utf8_lossy(&run.get_output().stdout).into_owned()
    };
    let dry = cli(&["run", "--dry-run"]);
    assert!(
        dry.contains("moon_landed  ignored by NOTIFY_FANOUT_IGNORE_TYPES"),
        "{dry}"
    );
    assert!(dry.contains("events=1 notifications=0"), "{dry}");
    assert!(
        dry.contains("expired=0 ignored=4 expired_unhandled=0"),
        "{dry}"
    );
    let run = cli(&["run"]);
    assert!(run.contains("events=1 notifications=0"), "{run}");
    assert!(
        run.contains("expired=0 ignored=4 expired_unhandled=0"),
        "{run}"
    );
    for event in [handled, unknown, old, waiting] {
        assert_eq!(
            stage.db.state(event).await,
            "completed 0 ignored: its type is in NOTIFY_FANOUT_IGNORE_TYPES"
        );
    }
    assert_eq!(stage.db.state(other).await, "completed 0");
    assert_eq!(stage.db.count("notifications").await, 0);
    let status = cli(&["status"]);
    assert!(
        status.contains(
            "Ignored     chat_message_sent, moon_landed, sun_set, rain_fell; 4 completed"
        ),
        "{status}"
    );
    let explained = cli(&["explain", &handled.to_string()]);
    assert!(explained.contains("ignored: its type is in"), "{explained}");
}

/// A binary that has the handler finds what an older one has put aside.
#[tokio::test]
async fn an_unknown_type_becomes_known() {
    let mut stage = Stage::new().await;
    let event = stage.message().await;
    // As an older binary would have left it.
    stage
        .db
        .execute("UPDATE notification_processing SET unhandled_type = 'chat_message_sent', next_attempt_at = now() + interval '20 h'")
        .await;
    let report = stage.db.run().await;
    assert_eq!(report.events, 1);
    assert_eq!(stage.db.state(event).await, "completed 0");
    assert_eq!(
        stage
            .db
            .count("notification_processing WHERE unhandled_type IS NOT NULL")
            .await,
        0
    );
}

/// Another program may have counted as far as a column can.
#[tokio::test]
async fn a_retry_count_as_large_as_can_be() {
    let mut stage = Stage::new().await;
    stage.messages_apart(4).await;
    stage
        .db
        .execute(
            "UPDATE notification_processing SET retry_count = 2147483647,
                    claimed_at = CASE WHEN event_id = 1 THEN now() END WHERE event_id <= 2",
        )
        .await;
    stage.db.cli(&["run", "--dry-run"]).success();
    assert_eq!(stage.db.run().await.events, 4);
}

/// The oldest first, as many as asked for.
#[tokio::test]
async fn limit() {
    let mut stage = Stage::new().await;
    stage.messages_apart(7).await;
    let mut settings = stage.db.settings();
    settings.limit = Some(5);
    settings.batch_size = 3;
    let report = stage.db.run_with(&settings).await;
    assert_eq!(
        (
            report.events,
            report.batches,
            report.stopped_early,
            report.left
        ),
        (5, 2, true, Some(2))
    );
    let left = stage.db.texts("SELECT event_id FROM notification_processing WHERE processing_status = 'pending' ORDER BY 1").await;
    assert_eq!(left, ["6", "7"]);
}

/// After its time a run claims nothing more.
#[tokio::test]
async fn the_time_is_up() {
    let mut stage = Stage::new().await;
    stage.messages_apart(20).await;
    let hold = stage
        .db
        .hold("LOCK TABLE notifications IN SHARE MODE")
        .await;
    let mut command = stage.db.binary();
    command.args(["--batch-size", "5", "--max-runtime", "1ms"]);
    // It may be late for the very first batch as well.
    let worker = Worker::start(&mut command);
    hold.release().await;
    let ended = worker.end().await;
    assert!(ended.status.success(), "{ended:?}");
    let statuses = stage.db.statuses().await;
    assert!(
        statuses["pending"] >= 15 && !statuses.contains_key("processing"),
        "{statuses:?}"
    );
    let due = format!(
        "{} events still due: the next run continues",
        statuses["pending"]
    );
    assert!(ended.stdout.contains(&due), "{ended:?}");
    let dry = stage
        .db
        .cli(&["--dry-run", "--max-runtime", "1ms", "--batch-size", "1"]);
    let dry = String::from_utf8_lossy(&dry.success().get_output().stdout).into_owned();
    assert!(
        dry.contains("still due: this dry run ended before them"),
        "{dry}"
    );
}

/// SIGTERM and SIGINT: the batch in hand is finished, and nothing more is claimed.
#[tokio::test]
async fn asked_to_stop() {
    for signal in ["TERM", "INT"] {
        let mut stage = Stage::new().await;
        stage.messages_apart(30).await;
        let hold = stage
            .db
            .hold("LOCK TABLE notifications IN SHARE MODE")
            .await;
        let worker =
            Worker::start(
                stage
                    .db
                    .binary()
                    .args(["--batch-size", "10", "--format", "json"]),
            );
        stage.db.until_waiting(1).await;
        worker.signal(signal);
        hold.release().await;
        let ended = worker.end().await;
        assert!(
            ended.status.success() && ended.after < Duration::from_secs(5),
            "{ended:?}"
        );
        let report = ended.report();
        assert_eq!(
            (&report["events"], &report["stopped_early"]),
            (&10.into(), &true.into())
        );
        assert_eq!(
            stage.db.statuses().await,
            [("completed".to_owned(), 10), ("pending".to_owned(), 20)].into()
        );
    }
}

/// The second signal ends it at once; what it had in hand is whole after the rescue.
#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut stage = Stage::new().await;
    stage.messages(30).await;
    let hold = stage
        .db
        .hold("LOCK TABLE notifications IN SHARE MODE")
        .await;
    let worker = Worker::start(stage.db.binary().args(["--batch-size", "10"]));
    stage.db.until_waiting(1).await;
    // Two of the same kind could arrive as one.
    worker.signal("TERM");
    worker.signal("INT");
    let ended = worker.end().await;
    assert!(matches!(ended.status.code(), Some(130 | 143)), "{ended:?}");
    assert!(ended.after < Duration::from_secs(5), "{ended:?}");
    hold.release().await;
    stage.db.until("NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'notify-fan-out')").await;
    assert_eq!(stage.db.count("notifications").await, 0);
    // Ten, and as many of their thread.
    assert_eq!(stage.db.statuses().await["processing"], 20);

    stage.db.execute("UPDATE notification_processing SET claimed_at = claimed_at - interval '1 h' WHERE claimed_at IS NOT NULL").await;
    let report = stage.db.run().await;
    assert_eq!((report.rescued, report.events), (20, 30));
    assert_eq!(
        stage
            .db
            .texts("SELECT coalesce_count FROM notifications")
            .await,
        ["30", "30"]
    );
}

/// A failed run has a reason; a database that is not migrated has a remedy.
#[tokio::test]
async fn without_the_schema() {
    let db = TestDatabase::empty().await;
    let run = db.cli(&["run"]).code(1);
    let log = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert!(log.contains("notify-fan-out migrate"), "{log}");
}

/// The wishes of people change between the claim and the write: the write decides.
#[tokio::test]
async fn muted_after_the_claim() {
    let mut stage = Stage::new().await;
    stage.message().await;
    let bo = id("user", "Bo");
    let mut hold = stage
        .db
        .hold("LOCK TABLE notifications IN SHARE MODE")
        .await;
    let (report, ()) = tokio::join!(stage.db.run(), async {
        stage.db.until_waiting(1).await;
        hold.execute(&format!(
            "INSERT INTO user_notification_preferences (user_id, scope_type, status) VALUES ('{bo}', 'global', 'muted')"
        ))
        .await;
        hold.release().await;
    });
    assert_eq!((report.notifications, report.suppressed), (1, 1));
}

/// The latency that a run reports is the database's: from occurrence to completion.
#[tokio::test]
async fn latency() {
    let mut stage = Stage::new().await;
    stage
        .world
        .event("chat_message_sent")
        .thread(stage.budget)
        .hours_ago(3)
        .payload(json!({}))
        .await;
    let report = stage.db.run().await;
    let latency = report.latencies.sum;
    assert!((10_800.0..10_900.0).contains(&latency), "{latency}");
}

/// What the application's functions say to the client does not swallow what the job has to say.
#[tokio::test]
async fn messages_of_the_application() {
    let mut stage = Stage::new().await;
    stage.messages_apart(3).await;
    stage
        .db
        .execute(
            "CREATE FUNCTION talk() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE WARNING 'secret of %', NEW.user_id; RETURN NEW; END $$;
             CREATE TRIGGER talk BEFORE INSERT ON notifications FOR EACH ROW EXECUTE FUNCTION talk()",
        )
        .await;
    let run = stage.db.cli(&["run", "--batch-size", "1"]).success();
    let log = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert_eq!(log.matches("batch settled").count(), 3, "{log}");
    assert!(!log.contains("secret"), "{log}");
}
