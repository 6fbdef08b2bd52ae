//! From an event to a message that was sent, by one daemon.

use std::time::Duration;

use serde_json::json;

use super::{ASLEEP, NEVER, SOON, stopped};
use crate::channels::receiver::{Reply, answer, status};
use crate::deliver::{Queued, Stage, aggregated, immediate};
use crate::harness::{ADA, Delivery, Worker, until};

fn start(stage: &Stage, pause: (&str, &str)) -> Worker {
    Worker::start(stage.daemon().envs([pause]))
}

async fn until_received(stage: &Stage, requests: usize) {
    until("received", || stage.outside.count() >= requests).await;
}

async fn until_delivered(stage: &Stage, messages: usize) {
    let delivered = "(SELECT count(*) FROM notification_deliveries WHERE status = 'delivered')";
    stage.db.until(&format!("{delivered} >= {messages}")).await;
}

/// Waits until the daemon has nothing to do, and sleeps.
async fn until_asleep(stage: &Stage, daemon: &Worker) {
    daemon.until_logged("waiting for events").await;
    stage.db.until(ASLEEP).await;
}

#[tokio::test]
async fn an_operator_event_is_delivered_by_a_daemon_that_slept() {
    let stage = Stage::new().await;
    stage.endpoint("webhook", "hook").await;
    let daemon = start(&stage, NEVER);
    for number in 1..=3 {
        until_asleep(&stage, &daemon).await;
        let alert = json!({"alert_id": format!("a-{number}"), "user_id": ADA});
        let mut world = stage.db.world().await;
        world.event("alert_triggered").payload(alert).await;
        until_received(&stage, number).await;
        until_delivered(&stage, number).await;
    }
    stopped(daemon).await;
}

#[tokio::test]
async fn what_another_process_queued_is_found_by_a_look() {
    let stage = Stage::new().await;
    let hook = stage.endpoint("webhook", "hook").await;
    let daemon = start(&stage, SOON);
    until_asleep(&stage, &daemon).await;
    stage.tell("webhook", hook, &["one"]).await;
    until_received(&stage, 1).await;
    let bo = stage.db.world().await.user("Bo").await;
    stage.queue(immediate(bo, "two")).await;
    until_received(&stage, 2).await;
    stopped(daemon).await;
}

/// No look comes meanwhile.
#[tokio::test]
async fn a_retry_is_sent_when_its_time_comes() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let stage = Stage::with(move |_| {
        let is_first = first.swap(false, std::sync::atomic::Ordering::Relaxed);
        status(if is_first { 503 } else { 200 })
    })
    .await;
    let hook = stage.endpoint("webhook", "hook").await;
    stage.tell("webhook", hook, &["one"]).await;
    let mut command = stage.daemon();
    let daemon = Worker::start(
        command
            .envs([NEVER])
            .env("NOTIFY_DELIVERY_CHAT_RETRY_SCHEDULE", "1s"),
    );
    until_received(&stage, 2).await;
    until_delivered(&stage, 1).await;
    stopped(daemon).await;
}

#[tokio::test]
async fn a_retry_does_not_wait_for_a_message_in_flight() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let stage = Stage::with(move |request| {
        if request.path == "/silent" {
            return Reply::Silence;
        }
        let is_first = first.swap(false, std::sync::atomic::Ordering::Relaxed);
        status(if is_first { 503 } else { 200 })
    })
    .await;
    let silent = stage.endpoint("webhook", "silent").await;
    let hook = stage.endpoint("webhook", "hook").await;
    stage.tell("webhook", silent, &["one"]).await;
    stage.tell("webhook", hook, &["two"]).await;
    let mut command = stage.daemon();
    let daemon = Worker::start(
        command
            .envs([NEVER])
            .env("NOTIFY_DELIVERY_CHAT_RETRY_SCHEDULE", "1s"),
    );
    until_delivered(&stage, 1).await;
    let waiting = "notification_deliveries WHERE status = 'sending'";
    assert_eq!(stage.db.count(waiting).await, 1, "the silent one");
    daemon.signal("TERM");
    let _ = daemon.end().await;
}

#[tokio::test]
async fn messages_in_flight_do_not_keep_others_from_being_sent() {
    let stage = Stage::with(|request| match request.path.as_str() {
        "/silent" => Reply::Silence,
        _ => answer(200, &[], "{}"),
    })
    .await;
    let silent = stage.endpoint("webhook", "silent").await;
    let hook = stage.endpoint("webhook", "hook").await;
    let daemon = start(&stage, SOON);
    stage.tell("webhook", silent, &["one"]).await;
    until_received(&stage, 1).await;
    for number in 1..=3 {
        let message = Delivery::endpoint("webhook", hook).says("more");
        stage.db.delivery(message).await;
        until_delivered(&stage, number).await;
    }
    let waiting = "notification_deliveries WHERE status = 'sending'";
    assert_eq!(stage.db.count(waiting).await, 1, "the silent one");
    daemon.signal("TERM");
    let _ = daemon.end().await;
}

/// A window lasts a minute at least.
#[tokio::test]
async fn a_digest_is_sent_once_its_window_is_over() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    let mail = aggregated(bo, "Plan");
    stage.queue(Queued { age: 0, ..mail }).await;
    let mut command = stage.daemon();
    let daemon = Worker::start(command.envs([SOON]).env("NOTIFY_DIGEST_EVERY", "1m"));
    let window = "(SELECT floor(extract(epoch FROM now()) / 60) > floor(extract(epoch FROM created_at) / 60) FROM pending_emails)";
    // Longer than other conditions are waited for.
    while stage.db.text(format!("SELECT {window}")).await == "false" {
        assert_eq!(stage.outside.count(), 0, "before the window is over");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until_received(&stage, 1).await;
    stopped(daemon).await;
}
