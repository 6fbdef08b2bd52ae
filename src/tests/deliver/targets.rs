//! Endpoints and routes of the environment: which are sent to, paused, disabled.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::{Stage, answer, body, counts, report};
use crate::channels::receiver::status;
use crate::harness::Worker;

#[tokio::test]
async fn one_that_is_gone_is_disabled_and_what_waits_is_cancelled() {
    let stage = Stage::with(|_| answer(410, &[], "gone")).await;
    let hook = stage.endpoint("hook", "webhook").await;
    for title in ["one", "two"] {
        stage.tell(hook, title).await;
    }
    let summary = report(
        stage
            .bare()
            .args(["--format", "json", "--concurrency", "1"]),
    )
    .await;
    assert_eq!(counts(&summary), "cancelled=1 dead=1");
    assert_eq!(
        summary["disabled"],
        json!([{"name": "hook", "reason": "webhook answered 410 Gone", "cancelled": 1}])
    );
    assert_eq!(
        stage.db.text("SELECT concat_ws(' ', enabled, disabled_reason, disabled_at IS NOT NULL) FROM notification_endpoints").await,
        "f webhook answered 410 Gone t"
    );
    assert_eq!(
        stage.deliveries().await,
        [
            "node_launched dead 1 410 (webhook answered 410 Gone)",
            "node_launched cancelled 0 endpoint_disabled (the endpoint was disabled: webhook answered 410 Gone)",
        ]
    );
}

#[tokio::test]
async fn five_days_of_failures_disable_it() {
    let stage = Stage::with(|_| status(500)).await;
    let hook = stage.endpoint("hook", "webhook").await;
    let failed = |days: u32, last: u32| {
        format!(
            "INSERT INTO notification_delivery_targets (target, failing_since, failed_at, failures, failing_days)
             VALUES ('endpoint:{hook}', now() - interval '6 days', now() - interval '{last} days', 3, {days})
             ON CONFLICT (target) DO UPDATE
                SET failed_at = excluded.failed_at, failing_days = excluded.failing_days"
        )
    };
    let enabled = "SELECT enabled FROM notification_endpoints";
    stage.tell(hook, "one").await;
    // A failure six days ago and one of today are two days of failures.
    stage.db.execute(failed(1, 6)).await;
    report(stage.bare().args(["--format", "json"])).await;
    assert_eq!(stage.db.text(enabled).await, "true");
    // The second one on a day is no other day.
    stage.let_time_pass().await;
    stage.db.execute(failed(4, 0)).await;
    report(stage.bare().args(["--format", "json"])).await;
    assert_eq!(stage.db.text(enabled).await, "true");
    // A day without traffic forgets nothing.
    stage.let_time_pass().await;
    stage.db.execute(failed(4, 2)).await;
    let summary = report(stage.bare().args(["--format", "json"])).await;
    assert_eq!(stage.db.text(enabled).await, "false", "{summary}");
    let reason = stage
        .db
        .text("SELECT disabled_reason FROM notification_endpoints")
        .await;
    assert!(
        reason.starts_with("failing since 2") && reason.ends_with("500 Internal Server Error"),
        "{reason}"
    );
}

#[tokio::test]
async fn what_was_disabled_or_removed_meanwhile_is_not_sent() {
    let stage = Stage::new().await;
    let [off, gone] = [
        stage.endpoint("off", "webhook").await,
        stage.endpoint("gone", "webhook").await,
    ];
    stage.tell(off, "one").await;
    stage.tell(gone, "two").await;
    stage
        .db
        .execute(format!(
            "UPDATE notification_endpoints SET enabled = false, disabled_reason = 'manually: too loud' WHERE id = '{off}';
             DELETE FROM notification_endpoints WHERE id = '{gone}'"
        ))
        .await;
    let summary = report(stage.bare().args(["--format", "json"])).await;
    assert_eq!(counts(&summary), "cancelled=2");
    assert!(stage.outside.requests().is_empty());
    assert_eq!(
        stage.deliveries().await,
        [
            "node_launched cancelled 0 endpoint_disabled (the endpoint was disabled: manually: too loud)",
            "node_launched cancelled 0 endpoint_removed (the endpoint was removed)",
        ]
    );
}

#[tokio::test]
async fn routes_of_the_environment() {
    let stage = Stage::new().await;
    stage
        .db
        .execute(
            "INSERT INTO notification_deliveries (channel, target, recipient, event_type, message)
             SELECT channel, CASE channel WHEN 'email' THEN 'email' ELSE 'env:' || channel END, 'env:' || channel,
                    'node_launched', '{\"title\":\"A node was launched\"}'
               FROM unnest(ARRAY['slack', 'discord', 'email']) AS channel",
        )
        .await;
    let mut command = stage.command();
    command
        .args(["--format", "json"])
        .env(
            "NOTIFICATIONS_SLACK_WEBHOOK_URL",
            format!("{}slack", stage.outside.base()),
        )
        .env("NOTIFICATIONS_EMAIL_TO", "ops@example.com");
    let summary = report(&mut command).await;
    assert_eq!(counts(&summary), "delivered=2");
    let mut paths: Vec<_> = stage
        .outside
        .requests()
        .iter()
        .map(|one| one.path.clone())
        .collect();
    paths.sort();
    assert_eq!(paths, ["/emails", "/slack"]);
    let requests = stage.outside.requests();
    let mail = requests
        .iter()
        .find(|one| one.path == "/emails")
        .expect("a mail");
    assert_eq!(body(mail)["subject"], "A node was launched");
    assert_eq!(stage.deliveries().await[1], "node_launched pending 0");
    // Switched off, it is another matter.
    stage.let_time_pass().await;
    let mut command = stage.bare();
    command
        .args(["--format", "json"])
        .env("NOTIFICATIONS_DISCORD_WEBHOOK_URL", stage.outside.base())
        .env("NOTIFICATIONS_DISCORD_ENABLED", "false");
    assert_eq!(counts(&report(&mut command).await), "cancelled=1");
}

/// Slack limits its rate by the channel, whatever leads there.
#[tokio::test]
async fn a_route_and_an_endpoint_of_one_address_keep_one_pace() {
    let stage = Stage::new().await;
    let slack = stage.endpoint("slack", "slack").await;
    stage.tell(slack, "one").await;
    stage
        .db
        .execute(
            "INSERT INTO notification_deliveries (channel, target, recipient, event_type, message)
             VALUES ('slack', 'env:slack', 'env:slack', 'node_launched', '{\"title\":\"two\"}')",
        )
        .await;
    let mut command = stage.bare();
    command.args(["--format", "json"]).env(
        "NOTIFICATIONS_SLACK_WEBHOOK_URL",
        format!("{}slack", stage.outside.base()),
    );
    assert_eq!(counts(&report(&mut command).await), "delivered=2");
    let requests = stage.outside.requests();
    let between = requests[1].at - requests[0].at;
    assert!(between > Duration::from_millis(900), "{between:?}");
}

#[tokio::test]
async fn a_route_that_is_gone_is_remembered() {
    let stage = Stage::with(|_| answer(404, &[], "no_service")).await;
    let tell =
        "INSERT INTO notification_deliveries (channel, target, recipient, event_type, message)
                VALUES ('slack', 'env:slack', 'env:slack', 'node_launched', '{\"title\":\"x\"}')";
    let deliver = || async {
        let mut command = stage.bare();
        command.args(["--format", "json"]).env(
            "NOTIFICATIONS_SLACK_WEBHOOK_URL",
            format!("{}slack", stage.outside.base()),
        );
        counts(&report(&mut command).await)
    };
    stage.db.execute(tell).await;
    assert_eq!(deliver().await, "dead=1");
    stage.db.execute(tell).await;
    stage.let_time_pass().await;
    assert_eq!(deliver().await, "cancelled=1");
    assert_eq!(stage.outside.requests().len(), 1);
}

#[tokio::test]
async fn settings_that_cannot_be_decrypted_keep_the_messages() {
    let stage = Stage::new().await;
    let hook = stage.endpoint("hook", "webhook").await;
    for title in ["one", "two"] {
        stage.tell(hook, title).await;
    }
    let plain = stage
        .db
        .text("SELECT settings FROM notification_endpoints")
        .await;
    let set = |settings: &str| format!("UPDATE notification_endpoints SET settings = '{settings}'");
    stage.db.execute(set("enc:v1:AAAA")).await;
    let dry = Worker::start(stage.bare().arg("--dry-run")).end().await;
    assert!(
        dry.stdout.ends_with("send=0 cancel=0 dead=0 wait=2\n"),
        "{}",
        dry.stdout
    );
    let ended = Worker::start(
        stage
            .bare()
            .args(["--format", "json", "--concurrency", "1"]),
    )
    .end()
    .await;
    assert_eq!(counts(&ended.report()), "retried=1");
    assert!(
        ended.stderr.contains("NOTIFY_SECRET_KEY is not set"),
        "{}",
        ended.stderr
    );
    stage.db.execute(set(&plain)).await;
    stage.let_time_pass().await;
    let summary = report(stage.bare().args(["--format", "json"])).await;
    assert_eq!(counts(&summary), "delivered=2");
    assert_eq!(stage.deliveries().await, ["node_launched delivered 1"; 2]);
    // What makes no destination is another matter.
    stage.tell(hook, "three").await;
    stage.db.execute(set("{}")).await;
    let summary = report(stage.bare().args(["--format", "json"])).await;
    assert_eq!(counts(&summary), "dead=1");
    let why = stage.deliveries().await;
    assert!(
        why[2].ends_with("endpoint (the endpoint's settings are wrong: url is missing)"),
        "{why:?}"
    );
}

#[tokio::test]
async fn one_that_asks_for_a_pause_gets_it_and_others_go_on() {
    let stage = Stage::with(|request| {
        if request.path == "/slow" {
            answer(503, &[("retry-after", "120")], "")
        } else {
            status(204)
        }
    })
    .await;
    let [slow, quick] = [
        stage.endpoint("slow", "webhook").await,
        stage.endpoint("quick", "webhook").await,
    ];
    for title in ["one", "two", "three"] {
        stage.tell(slow, title).await;
        stage.tell(quick, title).await;
    }
    let summary = report(stage.bare().args(["--format", "json", "--per-target", "1"])).await;
    assert_eq!(counts(&summary), "delivered=3 retried=1");
    let paused: f64 = stage
        .db
        .text("SELECT extract(epoch FROM paused_until - now()) FROM notification_delivery_targets")
        .await
        .parse()
        .expect("seconds");
    assert!((100.0..=120.0).contains(&paused), "{paused}");
    // Not the row alone: the whole target.
    let summary = report(stage.bare().args(["--format", "json"])).await;
    assert_eq!(counts(&summary), "");
}

#[tokio::test]
async fn phones_are_looked_up() {
    let stage = Stage::with(|_| answer(201, &[], r#"{"sid":"SM1","status":"queued"}"#)).await;
    let mut world = stage.db.world().await;
    let [bo, cy, di, ed] = world.users(["Bo", "Cy", "Di", "Ed"]).await;
    stage
        .db
        .execute(format!(
            "INSERT INTO user_notification_preferences (user_id, scope_type, event_type, channel, status)
             VALUES ('{ed}', 'global', '*', '*', 'muted'), ('{bo}', 'global', '*', '*', 'muted'),
                    ('{bo}', 'global', 'alert_triggered', '*', 'immediate');
             ALTER TABLE profiles ADD COLUMN phone text;
             GRANT SELECT (phone) ON profiles TO PUBLIC;
             UPDATE profiles SET phone = '+49 151 12345678' WHERE id IN ('{bo}', '{ed}');
             UPDATE profiles SET phone = '0151 12345678' WHERE id = '{di}'"
        ))
        .await;
    for user in [bo, cy, di, ed, Uuid::nil()] {
        stage
            .db
            .execute(format!(
                "INSERT INTO notification_deliveries (channel, target, recipient, user_id, event_type, message)
                 VALUES ('sms', 'sms', 'user:{user}', '{user}', 'alert_triggered', '{{\"title\":\"Spot price\"}}')"
            ))
            .await;
    }
    let mut command = stage.bare();
    command
        .args(["--format", "json"])
        .env(
            "NOTIFY_TWILIO_ACCOUNT_SID",
            "AC0123456789abcdef0123456789abcdef",
        )
        .env("NOTIFY_TWILIO_AUTH_TOKEN", "S3cret")
        .env("NOTIFY_TWILIO_FROM", "+15005550006")
        .env("NOTIFY_TWILIO_BASE_URL", stage.outside.base());
    assert_eq!(
        counts(&report(&mut command).await),
        "cancelled=3 dead=1 delivered=1"
    );
    let requests = stage.outside.requests();
    let form = String::from_utf8_lossy(&requests[0].body).into_owned();
    assert!(
        form.contains("To=%2B4915112345678") && form.contains("Spot"),
        "{form}"
    );
}

#[tokio::test]
async fn a_mailbox_that_cannot_be_decrypted_holds_up_no_other_mail() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    let ops = stage.endpoint("ops", "email").await;
    stage.tell(ops, "one").await;
    stage
        .db
        .execute(
            "UPDATE notification_deliveries SET target = 'email';
             UPDATE notification_endpoints SET settings = 'enc:v1:AAAA'",
        )
        .await;
    stage.deliver().await;
    stage.queue(super::immediate(bo, "two")).await;
    assert_eq!(counts(&stage.deliver().await), "delivered=1 mails=1");
}

#[tokio::test]
async fn the_summary_says_what_is_held_back_and_why() {
    let stage = Stage::with(|_| answer(503, &[("retry-after", "120")], "")).await;
    let hook = stage.endpoint("hook", "webhook").await;
    for title in ["one", "two"] {
        stage.tell(hook, title).await;
    }
    let ended = Worker::start(stage.bare().args(["--concurrency", "1"]))
        .end()
        .await;
    assert!(
        ended
            .stdout
            .contains("1 message is waiting: hook is paused for another 2m (webhook answered 503"),
        "{}",
        ended.stdout
    );
    let ended = Worker::start(stage.bare().arg("--dry-run")).end().await;
    assert!(
        ended
            .stdout
            .contains("would wait: hook is paused for another"),
        "{}",
        ended.stdout
    );
}
