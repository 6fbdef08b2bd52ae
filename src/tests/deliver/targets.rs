//! Endpoints and routes of the environment: which are sent to, disabled, unreadable.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::{Stage, answer, body, counts, counts_of, immediate, prefers, report, start};
use crate::channels::receiver::status;
use crate::harness::Delivery;

/// Whatever an endpoint is called, and whatever its name stands for: without a setting of the operator
/// nothing on this machine or its network is connected to, and the row says why.
#[tokio::test]
async fn nothing_private_is_connected_to() {
    let stage = Stage::new().await;
    let port = stage.outside.address.port();
    for (channel, url) in [
        ("webhook", format!("https://localhost:{port}/")),
        ("slack", "https://169.254.169.254/latest".to_owned()),
        ("discord", format!("http://127.0.0.1:{port}/")),
    ] {
        let id = stage.db.endpoint_at(channel, channel, &url).await;
        stage.db.queue(id, 1).await;
    }
    let mut command = stage.db.binary();
    assert_eq!(counts(command.arg("deliver")).await, "dead=3");
    assert_eq!(stage.outside.connections(), 0);
    insta::assert_snapshot!(stage.deliveries().await, @"
    payment_failed dead 1 not_permitted (127.0.0.1 is a loopback address, and not on the list of allowed networks)
    payment_failed dead 1 not_permitted (169.254.169.254 is a link-local address, and not on the list of allowed networks)
    payment_failed dead 1 not_permitted (the address is not encrypted (http://), which is not allowed here)
    ");
}

#[tokio::test]
async fn one_that_is_gone_is_disabled_and_what_waits_is_cancelled() {
    let stage = Stage::with(|_| answer(410, &[], "gone")).await;
    let hook = stage.endpoint("webhook", "hook").await;
    stage.db.queue(hook, 2).await;
    let summary = report(stage.bare().args(["--concurrency", "1"])).await;
    assert_eq!(counts_of(&summary), "cancelled=1 dead=1");
    assert_eq!(
        summary["disabled"],
        json!([{"name": "hook", "reason": "webhook answered 410 Gone", "cancelled": 1}])
    );
    let endpoint = "SELECT concat_ws(' ', enabled, disabled_reason, disabled_at IS NOT NULL) FROM notification_endpoints";
    assert_eq!(
        stage.db.text(endpoint).await,
        "f webhook answered 410 Gone t"
    );
    insta::assert_snapshot!(stage.deliveries().await, @"
    payment_failed dead 1 410 (webhook answered 410 Gone)
    payment_failed cancelled 0 endpoint_disabled (the endpoint was disabled: webhook answered 410 Gone)
    ");
}

#[tokio::test]
async fn five_days_of_failures_disable_an_endpoint() {
    let stage = Stage::with(|_| status(500)).await;
    let hook = stage.endpoint("webhook", "hook").await;
    stage.db.queue(hook, 1).await;
    for (days, last, is_enabled) in [
        // A failure six days ago and one of today are two days of failures.
        (1, 6, "true"),
        // The second one on a day is no other day.
        (4, 0, "true"),
        // A day without traffic forgets nothing.
        (4, 2, "false"),
    ] {
        stage.let_time_pass().await;
        stage
            .db
            .execute(format!(
                "INSERT INTO notification_delivery_targets (target, failing_since, failed_at, failures, failing_days)
                 VALUES ('endpoint:{hook}', now() - interval '6 days', now() - interval '{last} days', 3, {days})
                 ON CONFLICT (target) DO UPDATE SET failed_at = excluded.failed_at, failing_days = excluded.failing_days"
            ))
            .await;
        stage.deliver_bare().await;
        let enabled = "SELECT enabled FROM notification_endpoints";
        assert_eq!(stage.db.text(enabled).await, is_enabled, "{days} {last}");
    }
    let reason = "SELECT disabled_reason FROM notification_endpoints";
    let reason = stage.db.text(reason).await;
    assert!(reason.starts_with("failing since 2"), "{reason}");
    assert!(reason.ends_with("500 Internal Server Error"), "{reason}");
}

#[tokio::test]
async fn what_was_disabled_or_removed_meanwhile_is_not_sent() {
    let stage = Stage::new().await;
    let off = stage.endpoint("webhook", "off").await;
    let gone = stage.endpoint("webhook", "gone").await;
    stage.db.queue(off, 1).await;
    stage.db.queue(gone, 1).await;
    stage
        .db
        .execute(format!(
            "UPDATE notification_endpoints SET enabled = false, disabled_reason = 'manually: too loud' WHERE id = '{off}';
             DELETE FROM notification_endpoints WHERE id = '{gone}'"
        ))
        .await;
    assert_eq!(stage.deliver_bare().await, "cancelled=2");
    assert_eq!(stage.outside.count(), 0);
    insta::assert_snapshot!(stage.deliveries().await, @"
    payment_failed cancelled 0 endpoint_disabled (the endpoint was disabled: manually: too loud)
    payment_failed cancelled 0 endpoint_removed (the endpoint was removed)
    ");
}

#[tokio::test]
async fn routes_of_the_environment_are_sent_to_where_they_are_set() {
    let stage = Stage::new().await;
    for channel in ["slack", "discord", "email"] {
        let message = Delivery::route(channel).says("A node was launched");
        stage.db.delivery(message).await;
    }
    let url = format!("{}slack", stage.outside.base());
    let mut command = stage.command();
    command
        .env("NOTIFICATIONS_SLACK_WEBHOOK_URL", url)
        .env("NOTIFICATIONS_EMAIL_TO", "ops@example.com");
    assert_eq!(counts(&mut command).await, "delivered=2");
    let requests = stage.outside.requests();
    let mail = requests.iter().find(|one| one.path == "/emails");
    assert_eq!(
        body(mail.expect("a mail"))["subject"],
        "A node was launched"
    );
    assert!(requests.iter().any(|one| one.path == "/slack"));
    let discord = "notification_deliveries WHERE status = 'pending' AND channel = 'discord'";
    assert_eq!(stage.db.count(discord).await, 1);
    // Switched off, it is another matter.
    stage.let_time_pass().await;
    let mut command = stage.bare();
    command
        .env("NOTIFICATIONS_DISCORD_WEBHOOK_URL", stage.outside.base())
        .env("NOTIFICATIONS_DISCORD_ENABLED", "false");
    assert_eq!(counts(&mut command).await, "cancelled=1");
}

#[tokio::test]
async fn a_route_that_is_missing_here_is_named_once() {
    let stage = Stage::new().await;
    let waiting = Delivery::route("slack").says("Payment failed");
    for _ in 0..3 {
        stage.db.delivery(waiting.clone()).await;
    }
    let dry = stage.dry_run(stage.bare()).await;
    assert!(dry.ends_with("send=0 cancel=0 dead=0 wait=3\n"), "{dry}");
    let ended = start(&mut stage.bare()).end().await;
    assert_eq!(ended.stderr.matches("WARN").count(), 1, "{}", ended.stderr);
    for part in ["has no route env:slack here", "messages=3"] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    // Another machine, or this one later, may have it.
    assert!(
        counts(&mut stage.with_slack())
            .await
            .starts_with("delivered=")
    );
    // Mails to a missing mailbox stand among those to others.
    let clear = "DELETE FROM notification_deliveries";
    stage.db.execute(clear).await;
    for _ in 0..3 {
        let mail = Delivery::route("email").says("Payment failed");
        stage.db.delivery(mail).await;
    }
    let ended = start(&mut stage.command()).end().await;
    assert_eq!(counts_of(&ended.report()), "retried=3");
    assert_eq!(ended.stderr.matches("WARN").count(), 1, "{}", ended.stderr);
}

/// A newer version may have queued it, and sends it.
#[tokio::test]
async fn unknown_channel_is_left_and_named() {
    let stage = Stage::new().await;
    let hook = stage.endpoint("webhook", "hook").await;
    stage.db.delivery(Delivery::route("pager")).await;
    stage.db.queue(hook, 2).await;
    let newer = "UPDATE notification_deliveries SET channel = 'pager' WHERE id = 3";
    stage.db.execute(newer).await;
    let dry = start(stage.bare().arg("--dry-run")).ends(0).await;
    assert!(dry.stdout.contains(r#"{"send":1,"cancel":0,"#), "{dry:?}");
    let ended = start(&mut stage.bare()).end().await;
    assert_eq!(counts_of(&ended.report()), "delivered=1");
    let named = "does not know the channel pager";
    assert!(ended.stderr.contains(named), "{}", ended.stderr);
    insta::assert_snapshot!(stage.deliveries().await, @"
    alert_triggered pending 0
    payment_failed delivered 1
    payment_failed pending 0
    ");
}

/// Slack limits its rate by the channel, whatever leads there.
#[tokio::test]
async fn a_route_and_an_endpoint_of_one_address_keep_one_pace() {
    let stage = Stage::new().await;
    let slack = stage.endpoint("slack", "slack").await;
    stage.db.queue(slack, 1).await;
    let other = Delivery::route("slack").says("two");
    stage.db.delivery(other).await;
    assert_eq!(counts(&mut stage.with_slack()).await, "delivered=2");
    let requests = stage.outside.requests();
    let between = requests[1].at - requests[0].at;
    assert!(between > Duration::from_millis(900), "{between:?}");
}

#[tokio::test]
async fn a_route_that_is_gone_is_remembered() {
    let stage = Stage::with(|_| answer(404, &[], "no_service")).await;
    for summary in ["dead=1", "cancelled=1"] {
        let message = Delivery::route("slack").says("x");
        stage.db.delivery(message).await;
        stage.let_time_pass().await;
        assert_eq!(counts(&mut stage.with_slack()).await, summary);
    }
    assert_eq!(stage.outside.count(), 1);
}

#[tokio::test]
async fn settings_that_cannot_be_decrypted_keep_the_messages() {
    let stage = Stage::new().await;
    let hook = stage.endpoint("webhook", "hook").await;
    stage.db.queue(hook, 2).await;
    let settings = "SELECT settings FROM notification_endpoints";
    let plain = stage.db.text(settings).await;
    let set = |settings: &str| format!("UPDATE notification_endpoints SET settings = '{settings}'");
    stage.db.execute(set("enc:v1:AAAA")).await;
    let dry = stage.dry_run(stage.bare()).await;
    assert!(dry.ends_with("send=0 cancel=0 dead=0 wait=2\n"), "{dry}");
    let ended = start(stage.bare().args(["--concurrency", "1"])).end().await;
    assert_eq!(counts_of(&ended.report()), "retried=1");
    let why = "NOTIFY_SECRET_KEY is not set";
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
    stage.db.execute(set(&plain)).await;
    stage.let_time_pass().await;
    assert_eq!(stage.deliver_bare().await, "delivered=2");
    // What makes no destination is another matter.
    stage.db.queue(hook, 1).await;
    stage.db.execute(set("{}")).await;
    assert_eq!(stage.deliver_bare().await, "dead=1");
    insta::assert_snapshot!(stage.deliveries().await, @"
    payment_failed delivered 1
    payment_failed delivered 1
    payment_failed dead 0 endpoint (the endpoint's settings are wrong: url is missing)
    ");
}

#[tokio::test]
async fn a_mailbox_that_cannot_be_decrypted_holds_up_no_other_mail() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    let ops = stage.db.endpoint_at("email", "ops", "x").await;
    let mail = Delivery::endpoint("email", ops).says("one");
    stage.db.delivery(mail.with("target", "'email'")).await;
    let encrypted = "UPDATE notification_endpoints SET settings = 'enc:v1:AAAA'";
    stage.db.execute(encrypted).await;
    stage.deliver().await;
    stage.queue(immediate(bo, "two")).await;
    assert_eq!(stage.deliver().await, "delivered=1 mails=1");
}

#[tokio::test]
async fn phone_numbers_are_those_of_profiles() {
    let stage = Stage::with(|_| answer(201, &[], r#"{"sid":"SM1","status":"queued"}"#)).await;
    let mut world = stage.db.world().await;
    let [bo, cy, di, ed] = world.users(["Bo", "Cy", "Di", "Ed"]).await;
    for preference in [
        prefers(ed, "*", "*", "muted"),
        prefers(bo, "*", "*", "muted"),
        prefers(bo, "alert_triggered", "*", "immediate"),
    ] {
        stage.db.execute(preference).await;
    }
    stage
        .db
        .execute(format!(
            "ALTER TABLE profiles ADD COLUMN phone text;
             GRANT SELECT (phone) ON profiles TO PUBLIC;
             UPDATE profiles SET phone = '+49 151 12345678' WHERE id IN ('{bo}', '{ed}');
             UPDATE profiles SET phone = '0151 12345678' WHERE id = '{di}'"
        ))
        .await;
    for user in [bo, cy, di, ed, Uuid::nil()] {
        let message = Delivery::sms(user).says("Spot price");
        stage.db.delivery(message).await;
    }
    let summary = "cancelled=3 dead=1 delivered=1";
    assert_eq!(counts(&mut stage.texting()).await, summary);
    let form = stage.outside.requests().remove(0).body;
    let form = String::from_utf8(form).expect("a form");
    assert!(form.contains("To=%2B4915112345678"), "{form}");
    assert!(form.contains("Spot"), "{form}");
}
