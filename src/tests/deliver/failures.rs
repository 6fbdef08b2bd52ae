//! Failed deliveries: retried, dead, uncertain, reclaimed.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::{Stage, answer, counts, immediate, invalid, report, start, taken};
use crate::channels::receiver::{Reply, status};
use crate::harness::{Delivery, Worker};

#[tokio::test]
async fn retried_on_schedule_until_it_is_a_dead_letter() {
    let stage = Stage::with(|_| answer(503, &[], "S3rvice down")).await;
    let bo = stage.db.world().await.user("Bo").await;
    stage.queue(immediate(bo, "one")).await;
    let delay = "SELECT extract(epoch FROM next_attempt_at - now()) FROM notification_deliveries";
    for minutes in [5.0, 30.0, 120.0, 720.0, 1_440.0] {
        assert!(stage.deliver().await.ends_with("retried=1"));
        let seconds: f64 = stage.db.text(delay).await.parse().expect("seconds");
        let share = seconds / (minutes * 60.0);
        assert!(
            (0.88..=1.101).contains(&share),
            "{seconds} s, {minutes} min"
        );
        // Not before its time.
        assert_eq!(stage.deliver().await, "");
        stage.let_time_pass().await;
    }
    assert_eq!(stage.deliver().await, "dead=1");
    insta::assert_snapshot!(stage.deliveries().await, @"invite_accepted dead 6 503 (failed after 6 attempts: resend answered 503 Service Unavailable)");
    let log = "SELECT concat_ws(' ', attempt, transport, outcome, status, code, answer)
                 FROM notification_delivery_attempts ORDER BY id";
    let expected = [1, 2, 3, 4, 5, 6].map(|n| format!("{n} resend retry 503 503 S3rvice down"));
    assert_eq!(stage.db.texts(log).await, expected);
}

#[tokio::test]
async fn one_that_is_refused_for_good_is_a_dead_letter_at_once() {
    let stage = Stage::with(|request| {
        if String::from_utf8_lossy(&request.body).contains("bo@") {
            invalid()
        } else {
            taken()
        }
    })
    .await;
    let [bo, cy] = stage.db.world().await.users(["Bo", "Cy"]).await;
    stage.queue(immediate(bo, "one")).await;
    stage.queue(immediate(cy, "two")).await;
    let ended = Worker::start(&mut stage.command()).end().await;
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    let advice = "notify-fan-out dead-letters list";
    assert!(ended.stdout.contains(advice), "{}", ended.stdout);
    assert!(!ended.stderr.contains("bo@example.com"), "{}", ended.stderr);
    insta::assert_snapshot!(stage.deliveries().await, @"
    invite_accepted dead 1 validation_error (resend answered 422 Unprocessable Entity: validation_error: Invalid `to` field.)
    invite_accepted delivered 1
    ");
}

#[tokio::test]
async fn wrong_credentials_keep_the_mails() {
    let wrong = r#"{"name":"invalid_api_key","message":"API key is invalid"}"#;
    let stage = Stage::with(move |_| answer(401, &[], wrong)).await;
    let bo = stage.db.world().await.user("Bo").await;
    for number in 0..30 {
        stage.queue(immediate(bo, &format!("mail {number}"))).await;
    }
    let report = report(&mut stage.command()).await;
    // A few find out, the others wait.
    let retried = report["retried"].as_u64().expect("a count");
    assert!((1..=8).contains(&retried), "{report}");
    assert_eq!(report["dead"], 0);
    assert_eq!(stage.outside.requests().len() as u64, retried);
    let pending = "notification_deliveries WHERE status = 'pending'";
    assert_eq!(stage.db.count(pending).await, 30);
    let paused = "SELECT paused_until > now() + interval '4 minutes' FROM notification_delivery_targets WHERE target = 'email'";
    assert_eq!(stage.db.text(paused).await, "true");
}

#[tokio::test]
async fn messages_without_a_transport_wait() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    stage.queue(immediate(bo, "one")).await;
    stage.db.delivery(Delivery::sms(bo).says("x")).await;
    let summary = report(&mut stage.bare()).await;
    assert_eq!(summary["waiting"], json!({"mails": 1, "texts": 1}));
    assert_eq!(stage.queue_states().await, "one: pending");
    let printed = super::prints(&mut stage.bare()).await;
    let waiting = "1 e-mail is waiting: no e-mail transport is configured";
    assert!(printed.contains(waiting), "{printed}");
    // Once there is something, it goes.
    assert_eq!(stage.deliver().await, "delivered=1 mails=1");
}

#[tokio::test]
async fn a_chat_that_may_have_arrived_is_held_and_a_webhook_is_sent_again() {
    let stage = Stage::with(|_| Reply::Cut).await;
    let chat = stage.endpoint("slack", "chat").await;
    let hook = stage.endpoint("webhook", "hook").await;
    stage.tell("slack", chat, &["to the chat"]).await;
    stage.tell("webhook", hook, &["to the program"]).await;
    assert_eq!(stage.deliver_bare().await, "retried=1 uncertain=1");
    let states =
        "SELECT concat_ws(' ', channel, status, code) FROM notification_deliveries ORDER BY id";
    assert_eq!(
        stage.db.texts(states).await,
        ["slack uncertain uncertain", "webhook pending uncertain"]
    );
    // Unless the operator would rather see it twice.
    stage.tell("slack", chat, &["again"]).await;
    stage.let_time_pass().await;
    let mut command = stage.bare();
    command.env("NOTIFY_DELIVERY_HOLD_UNCERTAIN", "none");
    assert_eq!(counts(&mut command).await, "retried=2");
}

#[tokio::test]
async fn expired_leases_are_reclaimed_and_others_are_left_alone() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    let chat = stage.endpoint("slack", "chat").await;
    let hook = stage.endpoint("webhook", "hook").await;
    for (delivery, attempts, seconds) in [
        (Delivery::endpoint("slack", chat), 1, -1),
        (Delivery::endpoint("webhook", hook), 1, -1),
        (Delivery::endpoint("webhook", hook), 11, -1),
        (Delivery::endpoint("webhook", hook), 1, 60),
    ] {
        let leased = delivery
            .says("x")
            .status("sending", attempts)
            .with("lease_token", "1")
            .with("leased_at", "now() - interval '3 minutes'")
            .with("lease_until", &format!("now() + interval '{seconds} s'"));
        stage.db.delivery(leased.with("transport", "'x'")).await;
    }
    stage.queue(immediate(bo, "one")).await;
    assert_eq!(
        stage.deliver().await,
        "dead=1 delivered=2 mails=1 rescued=3 uncertain=1"
    );
    insta::assert_snapshot!(stage.deliveries().await, @"
    alert_triggered uncertain 1 lost (the worker died before it recorded the result)
    alert_triggered delivered 2
    alert_triggered dead 11 lost (the worker died before it recorded the result)
    alert_triggered sending 1
    invite_accepted delivered 1
    ");
    let lost = "SELECT concat_ws(' ', attempt, error) FROM notification_delivery_attempts WHERE outcome = 'lost' ORDER BY id";
    let died = |attempt| format!("{attempt} the worker died before it recorded the result");
    assert_eq!(stage.db.texts(lost).await, [1, 1, 11].map(died));
}

/// The lease of a mail outlives the wait for its acceptance; other leases are short, so that what a
/// process leaves behind when it is killed is soon sent.
#[tokio::test]
async fn leases_are_as_long_as_the_attempt_may_take() {
    let (stage, _permits) = Stage::gated().await;
    let server = crate::channels::mail_failures::Server::silent().await;
    let bo = stage.db.world().await.user("Bo").await;
    stage.queue(immediate(bo, "one")).await;
    let hook = stage.endpoint("webhook", "hook").await;
    stage.tell("webhook", hook, &["two"]).await;
    let mut command = stage.bare();
    command
        .env("NOTIFY_SMTP_URL", server.address())
        .env("NOTIFY_SMTP_ACCEPTANCE_TIMEOUT", "20m")
        .env("NOTIFICATIONS_EMAIL_FROM", "Acme <notify@example.com>");
    let worker = start(&mut command);
    let sending = "SELECT count(*) = 2 FROM notification_deliveries WHERE status = 'sending'";
    stage.db.until(sending).await;
    let leases = "SELECT channel || ' ' || lease_until - leased_at FROM notification_deliveries ORDER BY channel";
    assert_eq!(
        stage.db.texts(leases).await,
        ["email 00:23:00", "webhook 00:01:15"]
    );
    worker.kill();
}

#[tokio::test]
async fn five_consecutive_failures_open_the_circuit_breaker_and_a_success_closes_it() {
    let works = AtomicUsize::new(0);
    let works = std::sync::Arc::new(works);
    let repaired = std::sync::Arc::clone(&works);
    let stage = Stage::with(move |_| match works.load(Ordering::SeqCst) {
        0 => status(500),
        _ => status(204),
    })
    .await;
    let hook = stage.endpoint("webhook", "hook").await;
    stage.db.queue(hook, 40).await;
    let summary = report(&mut stage.bare()).await;
    let retried = summary["retried"].as_u64().expect("a count");
    assert!((5..=8).contains(&retried), "{summary}");
    // The others have lost no attempt.
    let untried = "notification_deliveries WHERE attempts = 0";
    assert_eq!(stage.db.count(untried).await, 40 - retried);
    assert!(stage.target().await.ends_with(" failing paused"));
    repaired.store(1, Ordering::SeqCst);
    stage.let_time_pass().await;
    assert_eq!(stage.deliver_bare().await, "delivered=40");
    assert_eq!(stage.target().await, "failures=0 throttled=0");
}

/// Each answer alone could be about its e-mail; together they are about the account.
#[tokio::test]
async fn refusals_of_everything_open_the_circuit_breaker() {
    let stage = Stage::with(|_| status(422)).await;
    let mut world = stage.db.world().await;
    for n in 0..30 {
        let person = world.user(&format!("Person{n}")).await;
        stage.queue(immediate(person, "one")).await;
    }
    let one_by_one = || {
        let mut command = stage.command();
        command.args(["--per-target", "1"]);
        command
    };
    assert_eq!(counts(&mut one_by_one()).await, "dead=5 mails=30");
    assert_eq!(
        stage.target().await,
        "failures=5 throttled=0 failing paused"
    );
    // Retried, an e-mail is no dead letter while every one is answered like this.
    stage.let_time_pass().await;
    assert_eq!(counts(&mut one_by_one()).await, "retried=1");
}
