//! `prune` deletes events and what was made of them, and nothing too early.

use notify_fan_out::ops::prune::{Prune, PruneOptions, PruneReport};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{MONTH, Stage, counts, prune};
use crate::harness::{TestDatabase, Worker, binary_at, database_at, ends, words};

/// Only what the application deletes itself begins anew.
#[tokio::test]
async fn a_pruned_nudge_is_not_sent_again() {
    let mut stage = Stage::new().await;
    let owner = stage.world.user("Owner").await;
    let org = stage.world.org("Org", [owner]).await;
    let project = stage.world.project("Project", org).await;
    let payload = json!({"user_id": owner, "resume_type": "project", "completion_percent": 5, "nudge_tier": 1});
    for notifications in [1_u64, 0] {
        let event = stage
            .world
            .event("resume_incomplete_nudge")
            .project(project)
            .payload(payload.clone())
            .await;
        assert_eq!(stage.db.run().await.notifications, notifications);
        stage.read_and_sent(event).await;
        stage.days_pass(40).await;
        assert_eq!(
            prune(&stage.db, false).await.notifications_count,
            notifications.cast_signed()
        );
    }
}

#[tokio::test]
async fn the_greatest_identifier_is_the_last() {
    let mut stage = Stage::new().await;
    let event = stage.granted().await;
    stage.db.run().await;
    stage.read_and_sent(event).await;
    for (kind, greatest) in [("integer", i32::MAX.into()), ("bigint", i64::MAX)] {
        for table in ["notifications", "pending_emails"] {
            stage
                .db
                .execute(format!(
                    "ALTER TABLE {table} ALTER id TYPE {kind}; UPDATE {table} SET id = {greatest}"
                ))
                .await;
        }
        assert_eq!(counts(&prune(&stage.db, false).await), [0; 4], "{kind}");
    }
}

#[tokio::test]
async fn pruned_events_are_not_processed_again() {
    let mut stage = Stage::new().await;
    let first = stage.granted().await;
    stage.granted().await;
    let failed = stage.invalid().await;
    let last = stage.granted().await;
    stage.db.run().await;
    stage.read_and_sent(first).await;
    stage.read_and_sent(last).await;
    stage.days_pass(31).await;
    let pending = stage.granted().await;

    let db = &stage.db;
    assert_eq!(counts(&prune(db, false).await), [2, 2, 3, 0]);
    let left = stage.left().await;
    assert_eq!(
        left,
        [
            format!("{first} event"),
            format!("{} event notification mail", first + 1),
            format!("{failed} event failed"),
            format!("{last} event"),
            format!("{pending} event pending"),
        ]
    );
    let marks = "SELECT event_ids FROM notification_pruned ORDER BY 1";
    assert_eq!(
        db.texts(marks).await,
        [(first, first + 2), (last, last + 1)].map(|(from, to)| format!("[{from},{to})"))
    );

    // The back-fill looks for events without a row. These must not be sent again; one that
    // was never seen, inserted while the trigger was off, is.
    db.execute("ALTER TABLE domain_events DISABLE TRIGGER notify_fan_out_enqueue")
        .await;
    let unseen = stage.granted().await;
    let db = &stage.db;
    db.execute("ALTER TABLE domain_events ENABLE TRIGGER notify_fan_out_enqueue")
        .await;
    let online = db.migrate().await.online;
    assert_eq!(online.backfilled_pending, 1);
    assert_eq!(online.backfilled_expired, 0);
    assert_eq!(db.run().await.notifications, 2);
    assert_eq!(db.state(unseen).await, "completed 0");
    let again = format!("notifications WHERE event_id IN ({first}, {last})");
    assert_eq!(db.count(&again).await, 0);
}

#[tokio::test]
async fn an_event_goes_when_nothing_refers_to_it() {
    let mut stage = Stage::new().await;
    let done = stage.granted().await;
    let unread = stage.granted().await;
    let unsent = stage.granted().await;
    let read_lately = stage.granted().await;
    let failed = stage.invalid().await;
    stage.db.run().await;
    for event in [done, unread, unsent] {
        stage.read_and_sent(event).await;
    }
    let again = format!(
        "UPDATE notifications SET read_at = NULL WHERE event_id = {unread};
         UPDATE pending_emails SET status = 'failed' WHERE event_id = {unsent}"
    );
    stage.db.execute(again).await;
    stage.days_pass(31).await;
    stage.read_and_sent(read_lately).await;

    assert_eq!(counts(&prune(&stage.db, true).await), [2, 2, 4, 1]);
    assert_eq!(
        stage.left().await,
        [
            format!("{unread} event notification"),
            format!("{unsent} event mail"),
            format!("{read_lately} event notification mail"),
            format!("{failed} event failed"),
        ]
    );

    // Later they go as well, and the mark with them.
    for event in [unread, unsent] {
        stage.read_and_sent(event).await;
    }
    stage.days_pass(31).await;
    assert_eq!(counts(&prune(&stage.db, true).await), [2, 2, 0, 3]);
    assert_eq!(stage.left().await, [format!("{failed} event failed")]);
    assert_eq!(stage.db.count("notification_pruned").await, 0);
}

#[tokio::test]
async fn what_was_sent_of_an_event_that_may_be_retried_stays() {
    let mut stage = Stage::new().await;
    let event = stage.granted().await;
    let db = &stage.db;
    // Rows of others that would go with the event are named.
    db.execute("CREATE TABLE audit (event_id bigint REFERENCES domain_events ON DELETE CASCADE)")
        .await;
    db.run().await;
    stage.read_and_sent(event).await;
    stage.days_pass(31).await;
    // As an older job may have left it: sent, and then failed.
    db.execute("UPDATE notification_processing SET processing_status = 'failed'")
        .await;
    let pruned = prune(db, true).await;
    assert_eq!(counts(&pruned), [0, 0, 0, 0]);
    assert_eq!(pruned.cascades_to, ["audit"]);
    db.prints("retry --all");
    let report = db.run().await;
    assert_eq!(report.events, 1);
    assert_eq!((report.notifications, report.emails), (0, 0));
}

/// Completed events of 40 days ago, as many as asked for.
async fn history(db: &TestDatabase<'_>, events: u32) {
    db.execute(format!(
        "INSERT INTO domain_events (event_type, occurred_at)
         SELECT 'meeting_updated', now() - interval '40 days' FROM generate_series(1, {events});
         UPDATE notification_processing
            SET processing_status = 'completed', completed_at = now() - interval '40 days'"
    ))
    .await;
}

#[tokio::test]
async fn prune_stops_between_batches_and_goes_on() {
    let db = TestDatabase::new().await;
    history(&db, 12_000).await;
    let database = database_at(&db.superuser_url());
    let mut session = database.connect().await.expect("a connection");
    let scope = PruneOptions {
        older_than: MONTH,
        events: true,
    };
    let stop = CancellationToken::new();
    let mut stopped = Prune::new(&mut session, scope).await.expect("a start");
    let mut stop_after_a_batch = |report: &PruneReport| {
        if report.processing_rows_count > 0 {
            stop.cancel();
        }
    };
    let done = stopped.execute(&mut session, &stop, &mut stop_after_a_batch);
    done.await.expect("pruned");
    assert!(stopped.report().stopped_early);
    assert_eq!(counts(stopped.report()), [0, 0, 5_000, 0]);
    assert_eq!(db.count("notification_processing").await, 7_000);
    assert_eq!(counts(&prune(&db, true).await), [0, 0, 7_000, 12_000]);
    assert_eq!(
        db.count("domain_events").await + db.count("notification_pruned").await,
        0
    );
}

#[tokio::test]
async fn two_prunes_at_once_share_the_work() {
    let db = TestDatabase::new().await;
    history(&db, 20_000).await;
    let workers = [(); 2].map(|()| {
        let line = "prune --older-than 30d --events --format json";
        Worker::start(binary_at(&db.superuser_url()).args(words(line)))
    });
    let (mut rows, mut events) = (0, 0);
    for worker in workers {
        let report = worker.end().await.report();
        rows += report["processing_rows_count"].as_u64().expect("a count");
        events += report["events_count"].as_u64().expect("a count");
    }
    assert_eq!(rows, 20_000);
    assert_eq!(events + db.count("domain_events").await, 20_000);
    prune(&db, true).await;
    assert_eq!(
        db.count("domain_events").await + db.count("notification_pruned").await,
        0
    );
}

#[tokio::test]
async fn the_age_of_what_is_pruned_has_a_default_and_can_be_off() {
    let db = TestDatabase::new().await;
    let prune = |age: &str, options: &str, code: i32| {
        let mut owner = binary_at(&db.superuser_url());
        owner.env("NOTIFY_PRUNE_OLDER_THAN", age);
        ends(owner, &format!("prune --format json {options}"), code)
    };
    for (age, options, days) in [
        ("", "", "90"),
        ("30d", "", "30"),
        ("off", "--older-than 7d", "7"),
    ] {
        let report: Value = serde_json::from_str(&prune(age, options, 0).0).expect("JSON");
        let since = report["older_than"].as_str().expect("a time");
        let query =
            format!("SELECT round(extract(epoch FROM now() - '{since}'::timestamptz) / 86400)");
        assert_eq!(db.text(&query).await, days);
    }
    assert_eq!(prune("off", "", 0).0, "{\"off\":true}\n");
    for (age, options) in [("30", ""), ("", "--older-than 30")] {
        let (_, error) = prune(age, options, 2);
        assert!(error.contains("must be a time with its unit"), "{error}");
    }
    let (dry, _) = prune("", "--events --dry-run", 0);
    assert!(dry.contains("\"dry_run\":true"), "{dry}");
}

/// Identifiers are any numbers that a bigint holds.
#[tokio::test]
async fn at_both_ends_of_all_identifiers() {
    let mut stage = Stage::new().await;
    stage
        .db
        .execute("ALTER TABLE domain_events DISABLE TRIGGER notify_fan_out_enqueue")
        .await;
    for end in [i64::MIN, i64::MAX] {
        let event = stage.granted().await;
        stage
            .db
            .execute(format!(
                "UPDATE domain_events SET id = {end} WHERE id = {event}"
            ))
            .await;
    }
    assert_eq!(stage.db.migrate().await.online.backfilled_pending, 2);
    assert_eq!(stage.db.run().await.notifications, 2);
    stage
        .db
        .execute(
            "UPDATE notification_processing SET processing_status = 'failed';
             UPDATE notifications SET id = event_id;
             UPDATE pending_emails SET id = event_id",
        )
        .await;
    assert_eq!(stage.db.json("retry --all")["retried_count"], 2);
    assert_eq!(stage.db.run().await.events, 2);
    stage.read_and_sent(i64::MIN).await;
    stage.read_and_sent(i64::MAX).await;
    stage.days_pass(31).await;
    // The row of the last one stays.
    assert_eq!(counts(&prune(&stage.db, true).await), [2, 2, 1, 1]);
    assert_eq!(
        stage.left().await,
        [format!("{} event completed", i64::MAX)]
    );
}
