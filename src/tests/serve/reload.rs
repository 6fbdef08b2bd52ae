//! SIGHUP: configuration and templates are read again.

use std::os::unix::net::UnixDatagram;
use std::path::Path;

use super::{ASLEEP, NEVER, command, disarm, stopped};
use crate::deliver::{Stage, body, immediate};
use crate::harness::{TestDatabase, Worker, until};

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("a file");
}

#[tokio::test]
async fn a_changed_configuration_is_taken_and_a_wrong_one_refused() {
    let db = TestDatabase::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let daemon = Worker::start(command(&db).envs([NEVER]).current_dir(&folder));
    db.until(ASLEEP).await;
    let ignored = async |event: &str| {
        let insert = format!("INSERT INTO domain_events (event_type) VALUES ('{event}')");
        db.execute(insert).await;
        let last = "FROM notification_processing ORDER BY event_id DESC LIMIT 1";
        let is_seen =
            format!("SELECT processing_status = 'completed' OR unhandled_type <> '' {last}");
        db.until(&is_seen).await;
        db.text(format!("SELECT unhandled_type IS NULL {last}"))
            .await
    };
    assert_eq!(ignored("page_viewed").await, "false");
    write(
        folder.path(),
        ".env",
        "NOTIFY_FANOUT_IGNORE_TYPES=page_viewed\n",
    );
    daemon.signal("HUP");
    daemon.until_logged("as it is now").await;
    assert_eq!(ignored("page_viewed").await, "true");

    write(folder.path(), ".env", "NOTIFY_FANOUT_BATCH_SIZE=many\n");
    daemon.signal("HUP");
    let log = daemon.until_logged("going on as before").await;
    assert!(log.contains("NOTIFY_FANOUT_BATCH_SIZE"), "{log}");
    db.until(ASLEEP).await;
    assert_eq!(ignored("page_viewed").await, "true");
    stopped(daemon).await;
}

#[tokio::test]
async fn changed_templates_are_taken_and_wrong_ones_refused() {
    let stage = Stage::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let template = "generic.subject";
    write(folder.path(), template, "Before");
    let mut command = stage.daemon();
    let daemon = Worker::start(
        command
            .envs([super::SOON])
            .env("NOTIFY_TEMPLATES_DIR", folder.path()),
    );
    daemon.until_logged("waiting for events").await;
    let [bo] = stage.db.world().await.users(["Bo"]).await;
    stage.queue(immediate(bo, "one")).await;
    until("sent", || stage.outside.count() == 1).await;

    write(folder.path(), template, "After");
    daemon.signal("HUP");
    daemon.until_logged("as it is now").await;
    stage.queue(immediate(bo, "two")).await;
    until("sent", || stage.outside.count() == 2).await;

    write(folder.path(), template, "{{ unclosed");
    daemon.signal("HUP");
    daemon.until_logged("going on as before").await;
    stage.queue(immediate(bo, "three")).await;
    until("sent", || stage.outside.count() == 3).await;
    let sent = stage.outside.requests();
    let subjects: Vec<_> = sent
        .iter()
        .map(|mail| body(mail)["subject"].clone())
        .collect();
    assert_eq!(subjects, ["Before", "After", "After"]);
    stopped(daemon).await;
}

/// However long it takes: what is left would be stuck until its claim counts as abandoned.
#[tokio::test]
async fn what_is_in_hand_is_finished_before_a_configuration_is_taken() {
    let db = TestDatabase::new().await;
    let daemon = Worker::start(command(&db).envs([NEVER]));
    db.until(ASLEEP).await;
    // Longer than what is in hand gets at the end of the process.
    db.answers("NEW.title LIKE '%Kick-off%'", "PERFORM pg_sleep(6)")
        .await;
    let event = super::announced(&db, "Kick-off").await;
    db.until("EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')")
        .await;
    daemon.signal("HUP");
    daemon.until_logged("as it is now").await;
    db.until(&super::is_completed(event)).await;
    disarm(&db).await;
    db.until(ASLEEP).await;
    let event = super::announced(&db, "Review").await;
    db.until(&super::is_completed(event)).await;
    stopped(daemon).await;
}

/// As `Type=notify` has it.
#[tokio::test]
async fn systemd_is_notified_of_start_and_stop_and_not_of_reloads() {
    let db = TestDatabase::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let daemon = Worker::start(command(&db).envs([NEVER]).env("NOTIFY_SOCKET", &path));
    for _ in 0..2 {
        db.until(ASLEEP).await;
        disarm(&db).await;
        daemon.signal("HUP");
        db.until(ASLEEP).await;
    }
    stopped(daemon).await;
    socket.set_nonblocking(true).expect("a socket");
    let mut received = Vec::new();
    let mut buffer = [0; 256];
    while let Ok(length) = socket.recv(&mut buffer) {
        received.push(String::from_utf8_lossy(&buffer[..length]).trim().to_owned());
    }
    assert_eq!(received, ["READY=1", "STOPPING=1"]);
}
