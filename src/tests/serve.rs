//! The long-running form: wakes in time, survives what happens to servers, and loses and doubles nothing.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::time::Duration;

use crate::exactly_once::{assert_same, stage, undisturbed};
use crate::harness::{Ended, Pooler, Server, TestDatabase, Worker};

/// No look at the tables may be what finds an event.
const NEVER: (&str, &str) = ("NOTIFY_POLL_MAX", "1h");
const ASLEEP: &str = "SELECT last_value % 1024 = 0 FROM notification_wake_seq";
const ALL_DONE: &str =
    "NOT EXISTS (SELECT FROM notification_processing WHERE processing_status <> 'completed')";

fn serve(db: &TestDatabase<'_>, variables: &[(&str, &str)]) -> Worker {
    let mut command = db.binary();
    command
        .args(["serve", "--no-deliver"])
        .envs(variables.iter().copied());
    Worker::start(&mut command)
}

async fn stopped(worker: Worker) -> Ended {
    worker.signal("TERM");
    let ended = worker.end().await;
    assert!(ended.status.success(), "{ended:?}");
    ended
}

/// A person's meeting, and an event that tells of it.
async fn announced(db: &TestDatabase<'_>, title: &str) -> i64 {
    let mut world = db.world().await;
    let person = world.user(title).await;
    let meeting = world.meeting(title, [person]).await;
    world.event("meeting_updated").meeting(meeting).await
}

fn is_completed(event: i64) -> String {
    format!(
        "SELECT processing_status = 'completed' FROM notification_processing WHERE event_id = {event}"
    )
}

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

#[tokio::test]
async fn the_trigger_notifies_once_per_sleep_and_never_while_the_daemon_is_awake() {
    let db = TestDatabase::new().await;
    let mut listener = sqlx::postgres::PgListener::connect(&db.superuser_url())
        .await
        .expect("a listener");
    listener.listen("notify_fan_out").await.expect("listening");
    let mut counts = Vec::new();
    for asleep in [false, true, true] {
        if asleep {
            db.execute("SELECT setval('notification_wake_seq', (last_value / 1024 + 1) * 1024) FROM notification_wake_seq").await;
        }
        for _ in 0..3 {
            db.execute("INSERT INTO domain_events (event_type) VALUES ('meeting_reminder')")
                .await;
        }
        // What was sent before this arrives before it.
        db.execute("NOTIFY notify_fan_out, 'end'").await;
        let mut count = 0;
        while listener.recv().await.expect("a notification").payload() != "end" {
            count += 1;
        }
        counts.push(count);
    }
    assert_eq!(counts, [0, 1, 1]);
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

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let server = Server::start();
    let db = TestDatabase::on(&server).await;
    let daemon = serve(&db, &[NEVER]);
    let crash = |server: &Server| {
        server.crash();
        server.start_again();
    };
    for (title, disturb) in [
        ("Kick-off", Server::restart as fn(&Server)),
        ("Review", crash),
    ] {
        db.until(ASLEEP).await;
        disturb(&server);
        let event = announced(&db, title).await;
        db.until(&is_completed(event)).await;
    }
    let ended = stopped(daemon).await;
    assert!(ended.stderr.contains("works again"), "{ended:?}");
}

#[tokio::test]
async fn daemons_and_minute_jobs_that_are_killed_lose_and_double_nothing() {
    let db = stage(2_000).await;
    let twin = undisturbed(&db).await;
    let short = [
        ("NOTIFY_FANOUT_STUCK_AFTER", "1s"),
        ("NOTIFY_FANOUT_BATCH_SIZE", "20"),
        ("NOTIFY_FANOUT_MAX_ATTEMPTS", "100"),
    ];
    let mut random = StdRng::seed_from_u64(rand::random());
    for _ in 0..15 {
        let daemons = [serve(&db, &short), serve(&db, &short)];
        let job = Worker::start(db.binary().arg("run").envs(short));
        let wait = random.random_range(10..250);
        // The instant at which they are killed is the point.
        tokio::time::sleep(Duration::from_millis(wait)).await;
        daemons.into_iter().for_each(Worker::kill);
        job.kill();
    }
    let last = serve(&db, &short);
    db.until(ALL_DONE).await;
    stopped(last).await;
    assert_same(&db, &twin).await;
}

#[tokio::test]
async fn stopped_under_load_it_finishes_what_is_in_hand() {
    let db = stage(3_000).await;
    let daemon = serve(&db, &[("NOTIFY_FANOUT_BATCH_SIZE", "50")]);
    db.until("(SELECT count(*) > 100 FROM notification_processing WHERE processing_status = 'completed')").await;
    stopped(daemon).await;
    assert_eq!(
        db.count("notification_processing WHERE processing_status = 'processing'")
            .await,
        0
    );
}
