//! What the trigger does for a daemon that sleeps, whoever commits and however many at once.

use futures_util::future::join_all;
use sqlx::postgres::PgListener;

use super::{announced, disarm, is_completed, serve, stopped};
use crate::harness::TestDatabase;

const INSERT: &str = "INSERT INTO domain_events (event_type) VALUES ('meeting_reminder')";

/// A daemon sleeps.
async fn arm(db: &TestDatabase<'_>) {
    db.execute("SELECT setval('notification_wake_seq', (last_value / 1024 + 1) * 1024) FROM notification_wake_seq")
        .await;
}

async fn listener(db: &TestDatabase<'_>) -> PgListener {
    let mut listener = PgListener::connect(&db.superuser_url())
        .await
        .expect("a listener");
    listener.listen("notify_fan_out").await.expect("listening");
    listener
}

/// How many notifications were sent since this was last asked.
async fn received(db: &TestDatabase<'_>, listener: &mut PgListener) -> u32 {
    // What was sent before this arrives before it.
    db.execute("NOTIFY notify_fan_out, 'end'").await;
    let mut count = 0;
    while listener.recv().await.expect("a notification").payload() != "end" {
        count += 1;
    }
    count
}

#[tokio::test]
async fn the_trigger_notifies_once_per_sleep_and_never_while_the_daemon_is_awake() {
    let db = TestDatabase::new().await;
    let mut listener = listener(&db).await;
    let mut counts = Vec::new();
    for asleep in [false, true, true] {
        if asleep {
            arm(&db).await;
        }
        for _ in 0..3 {
            db.execute(INSERT).await;
        }
        counts.push(received(&db, &mut listener).await);
    }
    assert_eq!(counts, [0, 1, 1]);
}

#[tokio::test]
async fn of_sixteen_connections_that_commit_at_once_one_notifies() {
    let db = TestDatabase::new().await;
    let mut listener = listener(&db).await;
    for _ in 0..5 {
        arm(&db).await;
        // All have the right to insert at the same instant, and to commit at the same instant.
        let gate = db
            .hold("SELECT pg_advisory_xact_lock(1), pg_advisory_xact_lock(2)")
            .await;
        let inserting = join_all((0..16).map(|_| {
            db.execute(format!(
                "BEGIN; SELECT pg_advisory_xact_lock_shared(1); {INSERT}; COMMIT"
            ))
        }));
        let release = async {
            let waiting =
                "(SELECT count(*) = 16 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
            db.until(waiting).await;
            gate.release().await;
        };
        tokio::join!(inserting, release);
        assert_eq!(received(&db, &mut listener).await, 1);
    }
    assert_eq!(db.count("notification_processing").await, 5 * 16);
}

#[tokio::test]
async fn a_role_that_may_only_insert_wakes_a_daemon() {
    let db = TestDatabase::new().await;
    let mut listener = listener(&db).await;
    arm(&db).await;
    let application = "DO $$ BEGIN CREATE ROLE nfo_test_inserter;
         EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
         REVOKE ALL ON notification_wake_seq, notification_processing FROM PUBLIC;
         GRANT INSERT ON domain_events TO nfo_test_inserter;
         GRANT USAGE ON SEQUENCE domain_events_id_seq TO nfo_test_inserter;
         SET ROLE nfo_test_inserter";
    db.execute(format!("{application}; {INSERT}")).await;
    let may = "has_sequence_privilege('nfo_test_inserter', 'notification_wake_seq', 'SELECT, USAGE, UPDATE')";
    assert_eq!(db.text(format!("SELECT {may}")).await, "false");
    assert_eq!(received(&db, &mut listener).await, 1);
    assert_eq!(db.count("notification_processing").await, 1);
}

/// Large values are of no interest: the last multiple that fits is as good as the first.
#[tokio::test]
async fn events_are_enqueued_at_the_end_of_the_sequence() {
    let db = TestDatabase::new().await;
    let mut listener = listener(&db).await;
    db.execute("SELECT setval('notification_wake_seq', 9223372036854774784)")
        .await;
    for _ in 0..3 {
        db.execute(INSERT).await;
    }
    assert_eq!(received(&db, &mut listener).await, 1);
    db.execute("SELECT setval('notification_wake_seq', 9223372036854775807)")
        .await;
    db.execute(INSERT).await;
    assert_eq!(received(&db, &mut listener).await, 0);
    assert_eq!(db.count("notification_processing").await, 4);
}

#[tokio::test]
async fn a_prepared_transaction_is_for_daemons_that_never_ask_for_a_notification() {
    let db = TestDatabase::new().await;
    let prepared = format!("BEGIN; {INSERT}; PREPARE TRANSACTION '{}'", db.name());
    let commit = format!("COMMIT PREPARED '{}'", db.name());
    // Nobody sleeps.
    db.execute(&prepared).await;
    db.execute(&commit).await;
    // A daemon has slept, and goes on to poll.
    let ignored = ("NOTIFY_FANOUT_IGNORE_TYPES", "meeting_reminder");
    let polling = serve(&db, &[("NOTIFY_WAKE", "poll"), super::SOON, ignored]);
    let event = announced(&db, "Kick-off").await;
    db.until(&is_completed(event)).await;
    db.execute(&prepared).await;
    db.execute(&commit).await;
    db.until(super::ALL_DONE).await;
    stopped(polling).await;
    // The documentation says that it is refused while one sleeps, as PostgreSQL does.
    arm(&db).await;
    let mut hold = db.hold(INSERT).await;
    let prepare = format!("PREPARE TRANSACTION '{}'", db.name());
    let refused = hold.try_execute(&prepare).await;
    let refused = refused.expect_err("a refusal").to_string();
    assert!(refused.contains("cannot PREPARE"), "{refused}");
    drop(hold);
    disarm(&db).await;
}
