//! Failed deliveries: retried, dead, held.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::{Stage, answer, counts, immediate, report, taken};
use crate::channels::receiver::{Reply, status};
use crate::harness::Worker;

#[tokio::test]
async fn retried_on_schedule_until_it_is_a_dead_letter() {
    let stage = Stage::with(|_| answer(503, &[], "S3rvice down")).await;
    let bo = stage.db.world().await.user("Bo").await;
    stage.queue(immediate(bo, "one")).await;
    let mut delays = Vec::new();
    for _ in 0..5 {
        let report = stage.deliver().await;
        assert_eq!(
            (&report["retried"], &report["dead"]),
            (&json!(1), &json!(0))
        );
        let seconds: f64 = stage
            .db
            .text("SELECT extract(epoch FROM next_attempt_at - now()) FROM notification_deliveries")
            .await
            .parse()
            .expect("seconds");
        delays.push(seconds);
        // Not before its time.
        assert_eq!(counts(&stage.deliver().await), "");
        stage.let_time_pass().await;
    }
    for (delay, minutes) in delays.iter().zip([5.0, 30.0, 120.0, 720.0, 1_440.0]) {
        let share = delay / (minutes * 60.0);
        assert!(
            (0.88..=1.101).contains(&share),
            "{delay} s for {minutes} min"
        );
    }
    assert_eq!(counts(&stage.deliver().await), "dead=1");
    assert_eq!(
        stage.deliveries().await,
        [
            "invite_accepted dead 6 503 (failed after 6 attempts: resend answered 503 Service Unavailable)"
        ]
    );
    assert_eq!(
        stage.queue_states().await,
        ["one: failed dead: failed after 6 attempts: resend answered 503 Service Unavailable"]
    );
    let log = stage
        .db
        .texts(
            "SELECT concat_ws(' ', attempt, transport, outcome, status, code, answer)
               FROM notification_delivery_attempts ORDER BY id",
        )
        .await;
    assert_eq!(log.len(), 6);
    assert_eq!(log[0], "1 resend retry 503 503 S3rvice down");
    assert_eq!(log[5], "6 resend retry 503 503 S3rvice down");
}

#[tokio::test]
async fn refused_for_good() {
    let stage = Stage::with(|request| {
        let to = String::from_utf8_lossy(&request.body).contains("bo@");
        if to {
            answer(
                422,
                &[],
                r#"{"name":"validation_error","message":"Invalid `to` field."}"#,
            )
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
    assert!(
        ended.stdout.contains("notify-fan-out dead-letters list"),
        "{}",
        ended.stdout
    );
    assert!(!ended.stderr.contains("bo@example.com"), "{}", ended.stderr);
    assert_eq!(
        stage.deliveries().await,
        [
            "invite_accepted dead 1 validation_error (resend answered 422 Unprocessable Entity: validation_error: Invalid `to` field.)",
            "invite_accepted delivered 1",
        ]
    );
}

#[tokio::test]
async fn wrong_credentials_keep_the_mails() {
    let stage = Stage::with(|_| {
        answer(
            401,
            &[],
            r#"{"name":"invalid_api_key","message":"API key is invalid"}"#,
        )
    })
    .await;
    let bo = stage.db.world().await.user("Bo").await;
    for number in 0..30 {
        stage.queue(immediate(bo, &format!("mail {number}"))).await;
    }
    let report = stage.deliver().await;
    // A few find out, the others wait.
    let retried = report["retried"].as_u64().expect("a count");
    assert!((1..=8).contains(&retried), "{report}");
    assert_eq!(report["dead"], 0);
    assert_eq!(stage.outside.requests().len() as u64, retried);
    assert_eq!(
        stage
            .db
            .count("notification_deliveries WHERE status = 'pending'")
            .await,
        30
    );
    let paused = "SELECT paused_until > now() + interval '4 minutes' FROM notification_delivery_targets WHERE target = 'email'";
    assert_eq!(stage.db.text(paused).await, "true");
}

#[tokio::test]
async fn nothing_to_send_with() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    stage.queue(immediate(bo, "one")).await;
    stage
        .db
        .execute(format!(
            "INSERT INTO notification_deliveries (channel, target, recipient, user_id, event_type, message)
             VALUES ('sms', 'sms', 'user:{bo}', '{bo}', 'alert_triggered', '{{\"title\":\"x\"}}')"
        ))
        .await;
    let summary = report(stage.bare().args(["--format", "json"])).await;
    assert_eq!(summary["waiting"], json!({"mails": 1, "texts": 1}));
    assert_eq!(stage.queue_states().await, ["one: pending"]);
    let ended = Worker::start(&mut stage.bare()).end().await;
    assert!(ended.status.success());
    assert!(
        ended
            .stdout
            .contains("1 e-mail is waiting: no e-mail transport is configured"),
        "{}",
        ended.stdout
    );
    // Once there is something, it goes.
    assert_eq!(counts(&stage.deliver().await), "delivered=1 mails=1");
}

#[tokio::test]
async fn held_where_it_may_have_arrived_and_would_be_seen_twice() {
    let stage = Stage::with(|_| Reply::Cut).await;
    let [chat, hook] = [
        stage.endpoint("chat", "slack").await,
        stage.endpoint("hook", "webhook").await,
    ];
    stage.tell(chat, "to the chat").await;
    stage.tell(hook, "to the program").await;
    let summary = report(stage.bare().args(["--format", "json"])).await;
    assert_eq!(counts(&summary), "retried=1 uncertain=1");
    assert_eq!(
        stage.db.texts("SELECT channel || ' ' || status || ' ' || code FROM notification_deliveries ORDER BY id").await,
        ["slack uncertain uncertain", "webhook pending uncertain"]
    );
    // Unless the operator would rather see it twice.
    stage.tell(chat, "again").await;
    stage.let_time_pass().await;
    let summary = report(
        stage
            .bare()
            .args(["--format", "json"])
            .env("NOTIFY_DELIVERY_HOLD_UNCERTAIN", "none"),
    )
    .await;
    assert_eq!(counts(&summary), "retried=2");
}

#[tokio::test]
async fn left_by_a_sender_that_is_gone() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    let [chat, hook] = [
        stage.endpoint("chat", "slack").await,
        stage.endpoint("hook", "webhook").await,
    ];
    stage.tell(chat, "to the chat").await;
    stage.tell(hook, "to the program").await;
    stage.tell(hook, "for the last time").await;
    stage.queue(immediate(bo, "one")).await;
    stage
        .db
        .execute(
            "UPDATE notification_deliveries
                SET status = 'sending', attempts = CASE WHEN message ->> 'title' = 'for the last time' THEN 11 ELSE 1 END,
                    lease_token = 1, leased_at = now() - interval '3 minutes',
                    lease_until = now() - interval '1 second', transport = channel",
        )
        .await;
    let summary = stage.deliver().await;
    assert_eq!(
        counts(&summary),
        "dead=1 delivered=2 mails=1 rescued=3 uncertain=1"
    );
    assert_eq!(
        stage.deliveries().await,
        [
            "node_launched uncertain 1 lost (the worker died before it recorded the result)",
            "node_launched delivered 2",
            "node_launched dead 11 lost (the worker died before it recorded the result)",
            "invite_accepted delivered 1",
        ]
    );
    assert_eq!(
        stage.db.texts("SELECT concat_ws(' ', attempt, outcome, error) FROM notification_delivery_attempts WHERE outcome = 'lost' ORDER BY id").await,
        [
            "1 lost the worker died before it recorded the result",
            "1 lost the worker died before it recorded the result",
            "11 lost the worker died before it recorded the result",
        ]
    );
}

#[tokio::test]
async fn a_lease_that_is_not_over_is_left_alone() {
    let stage = Stage::new().await;
    let hook = stage.endpoint("hook", "webhook").await;
    stage.tell(hook, "somebody is at it").await;
    stage
        .db
        .execute(
            "UPDATE notification_deliveries SET status = 'sending', attempts = 1, lease_token = 1,
                    leased_at = now(), lease_until = now() + interval '1 minute'",
        )
        .await;
    assert_eq!(counts(&stage.deliver().await), "");
    assert!(stage.outside.requests().is_empty());
}

#[tokio::test]
async fn five_consecutive_failures_open_the_circuit_breaker() {
    let stage = Stage::with(|_| status(500)).await;
    let hook = stage.endpoint("hook", "webhook").await;
    for number in 0..40 {
        stage.tell(hook, &format!("message {number}")).await;
    }
    let summary = report(stage.bare().args(["--format", "json"])).await;
    let retried = summary["retried"].as_u64().expect("a count");
    assert!((5..=8).contains(&retried), "{summary}");
    // The others have lost no attempt.
    assert_eq!(
        stage
            .db
            .count("notification_deliveries WHERE attempts = 0")
            .await,
        40 - retried
    );
}

#[tokio::test]
async fn recovered_targets_are_not_failing_any_more() {
    let count = AtomicUsize::new(0);
    let stage = Stage::with(move |_| {
        let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
        status(if is_first { 500 } else { 204 })
    })
    .await;
    let hook = stage.endpoint("hook", "webhook").await;
    stage.tell(hook, "one").await;
    let failures = "SELECT concat_ws(' ', failures, failing_since IS NOT NULL) FROM notification_delivery_targets";
    report(stage.bare().args(["--format", "json"])).await;
    assert_eq!(stage.db.text(failures).await, "1 t");
    stage.let_time_pass().await;
    report(stage.bare().args(["--format", "json"])).await;
    assert_eq!(stage.db.text(failures).await, "0 f");
}
