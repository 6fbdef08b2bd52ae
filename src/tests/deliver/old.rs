//! What was never attempted and has grown too old, and what nothing here leads to.

use super::{Stage, counts, report};
use crate::harness::{Delivery, Worker};

const MESSAGE: &str = r#"'{"title": "Payment failed"}'"#;
const EXPIRED: &str = "dead 0 expired (expired: it waited for longer than NOTIFY_DELIVERY_MAX_AGE)";

fn old(delivery: Delivery) -> Delivery {
    let then = "now() - interval '200 days'";
    delivery
        .with("message", MESSAGE)
        .with("created_at", then)
        .with("next_attempt_at", then)
}

#[tokio::test]
async fn the_age_limit_is_that_of_every_channel() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    let hook = stage.endpoint("hook", "webhook").await;
    stage
        .db
        .delivery(old(Delivery::endpoint("webhook", hook)))
        .await;
    // Attempted once, it is kept to the end of its schedule.
    let attempted = old(Delivery::endpoint("webhook", hook)).status("pending", 1);
    stage.db.delivery(attempted).await;
    // Nothing sends these from here.
    stage
        .db
        .execute(format!(
            "INSERT INTO notification_deliveries (channel, target, recipient, user_id, event_type, message, created_at, next_attempt_at)
             VALUES ('sms', 'sms', 'user:{bo}', '{bo}', 'alert_triggered', {MESSAGE}, now() - interval '200 days', now() - interval '200 days')"
        ))
        .await;
    stage.db.delivery(old(Delivery::route("slack"))).await;
    let dry = Worker::start(stage.bare().arg("--dry-run")).end().await;
    assert!(
        dry.stdout.ends_with("send=1 cancel=0 dead=3 wait=0\n"),
        "{}",
        dry.stdout
    );
    let summary = report(stage.bare().args(["--format", "json"])).await;
    assert_eq!(counts(&summary), "dead=3 delivered=1");
    assert_eq!(
        stage.deliveries().await,
        [
            format!("alert_triggered {EXPIRED}"),
            "alert_triggered delivered 2".to_owned(),
            format!("alert_triggered {EXPIRED}"),
            format!("alert_triggered {EXPIRED}"),
        ]
    );
    // A person may want it all the same.
    stage
        .db
        .cli(&["dead-letters", "retry", "--channel", "webhook"])
        .success();
    let summary = report(stage.bare().args(["--format", "json"])).await;
    assert_eq!(counts(&summary), "delivered=1");
}

#[tokio::test]
async fn a_route_that_is_missing_here_is_named_once() {
    let stage = Stage::new().await;
    for _ in 0..3 {
        let waiting = Delivery::route("slack").with("message", MESSAGE);
        stage.db.delivery(waiting).await;
    }
    let dry = Worker::start(stage.bare().arg("--dry-run")).end().await;
    assert!(
        dry.stdout.ends_with("send=0 cancel=0 dead=0 wait=3\n"),
        "{}",
        dry.stdout
    );
    let ended = Worker::start(&mut stage.bare()).end().await;
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.stderr.matches("WARN").count(), 1, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("has no route env:slack here") && ended.stderr.contains("messages=3"),
        "{}",
        ended.stderr
    );
    assert_eq!(stage.deliveries().await, ["alert_triggered pending 0"; 3]);
    // Another machine, or this one later, may have it.
    let mut command = stage.bare();
    command.args(["--format", "json"]).env(
        "NOTIFICATIONS_SLACK_WEBHOOK_URL",
        format!("{}slack", stage.outside.base()),
    );
    assert!(counts(&report(&mut command).await).starts_with("delivered="));
    // Mails to a missing mailbox stand among those to others.
    stage
        .db
        .execute("DELETE FROM notification_deliveries")
        .await;
    for _ in 0..3 {
        let mail = Delivery::route("email").with("message", MESSAGE);
        stage.db.delivery(mail).await;
    }
    stage
        .db
        .execute("UPDATE notification_deliveries SET target = 'email'")
        .await;
    let ended = Worker::start(&mut stage.command()).end().await;
    assert!(ended.stdout.contains("retried=3"), "{}", ended.stdout);
    assert_eq!(ended.stderr.matches("WARN").count(), 1, "{}", ended.stderr);
}
