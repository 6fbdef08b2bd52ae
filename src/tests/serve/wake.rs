//! What wakes a daemon: the trigger, looks at the tables, and the time that something waits for.

use super::{ASLEEP, NEVER, announced, is_completed, serve, stopped};
use crate::harness::{Pooler, TestDatabase, Worker};

#[tokio::test]
async fn a_commit_wakes_a_sleeping_daemon() {
    let db = TestDatabase::new().await;
    let daemon = serve(&db, &[NEVER]);
    for title in ["Kick-off", "Review"] {
        db.until(ASLEEP).await;
        let event = announced(&db, title).await;
        db.until(&is_completed(event)).await;
    }
    stopped(daemon).await;
    assert_eq!(db.count("notifications").await, 2);
}

/// The transaction that took the wake-up with it was rolled back, or is still open: the next look finds what
/// others committed.
#[tokio::test]
async fn a_wake_up_that_never_comes_is_made_up_for_by_a_look() {
    let db = TestDatabase::new().await;
    let daemon = serve(&db, &[("NOTIFY_POLL_MAX", "300ms")]);
    db.until(ASLEEP).await;
    let open = db
        .hold("INSERT INTO domain_events (event_type) VALUES ('meeting_reminder')")
        .await;
    let event = announced(&db, "Kick-off").await;
    db.until(&is_completed(event)).await;
    drop(open);
    stopped(daemon).await;
}

#[tokio::test]
async fn an_event_that_waits_for_its_time_is_taken_when_it_comes() {
    let db = TestDatabase::new().await;
    let event = announced(&db, "Kick-off").await;
    db.execute("UPDATE notification_processing SET next_attempt_at = now() + interval '1500 ms'")
        .await;
    let daemon = serve(&db, &[NEVER]);
    db.until(&is_completed(event)).await;
    stopped(daemon).await;
}

#[tokio::test]
async fn behind_a_pooler_it_polls_or_listens_by_an_address_of_its_own() {
    let db = TestDatabase::new().await;
    let pooler = Pooler::before(&db, false).await;
    let (by_pooler, direct) = (pooler.url(), db.url());
    let with = |variables: &[(&str, &str)]| {
        let mut command = db.binary();
        command
            .args(["serve", "--no-deliver"])
            .env("DATABASE_URL", &by_pooler);
        Worker::start(command.envs(variables.iter().copied()))
    };
    let refused = with(&[("NOTIFY_WAKE", "listen")]).end().await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(refused.stderr.contains("NOTIFY_LISTEN_URL"), "{refused:?}");

    let polling = with(&[("NOTIFY_POLL_MAX", "200ms")]);
    let event = announced(&db, "Kick-off").await;
    db.until(&is_completed(event)).await;
    let ended = stopped(polling).await;
    assert!(ended.stderr.contains("polling"), "{ended:?}");

    let listening = with(&[
        NEVER,
        ("NOTIFY_WAKE", "listen"),
        ("NOTIFY_LISTEN_URL", &direct),
    ]);
    db.until(ASLEEP).await;
    let event = announced(&db, "Review").await;
    db.until(&is_completed(event)).await;
    stopped(listening).await;
}
