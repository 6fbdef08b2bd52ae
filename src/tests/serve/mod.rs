//! The long-running form: wakes in time, survives what happens to servers, and loses and doubles nothing.

mod delivery;
mod enqueue;
mod http;
mod idle;
mod reload;
mod shared;
mod survival;
mod wake;

use std::process::Command;

use crate::harness::{Ended, Server, TestDatabase, Worker, binary_at};

/// No look at the tables may be what finds an event.
const NEVER: (&str, &str) = ("NOTIFY_POLL_MAX", "1h");
const SOON: (&str, &str) = ("NOTIFY_POLL_MAX", "100ms");
const ASLEEP: &str = "SELECT last_value % 1024 = 0 FROM notification_wake_seq";
const ALL_DONE: &str =
    "NOT EXISTS (SELECT FROM notification_processing WHERE processing_status <> 'completed')";
/// The connections of daemons.
const DAEMONS: &str = "pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'notify-fan-out%'";

/// A daemon without delivery.
fn serve(db: &TestDatabase<'_>, variables: &[(&str, &str)]) -> Worker {
    serve_at(&db.url(), variables)
}

fn serve_at(url: &str, variables: &[(&str, &str)]) -> Worker {
    let mut command = binary_at(url);
    command.envs(variables.iter().copied());
    Worker::start(command.args(["serve", "--no-deliver"]))
}

/// The same daemon, with more to be added.
fn command(db: &TestDatabase<'_>) -> Command {
    let mut command = db.binary();
    command.args(["serve", "--no-deliver"]);
    command
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

/// Whoever wants a notification says so anew.
async fn disarm(db: &TestDatabase<'_>) {
    db.execute("SELECT setval('notification_wake_seq', last_value / 1024 * 1024 + 1) FROM notification_wake_seq")
        .await;
}

/// The server ends all connections of daemons.
async fn disconnect(db: &TestDatabase<'_>) {
    db.execute(format!("SELECT pg_terminate_backend(pid) FROM {DAEMONS}"))
        .await;
}

/// No statement failed on the server but by one of these.
#[track_caller]
fn assert_failed_only_by(server: &Server, explained: &[&str]) {
    let log = server.log();
    let failed = log.lines().filter(|line| {
        ["ERROR:", "FATAL:", "PANIC:"]
            .iter()
            .any(|level| line.contains(level))
    });
    let unexplained: Vec<_> = failed
        .filter(|line| !explained.iter().any(|text| line.contains(text)))
        .collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
}
