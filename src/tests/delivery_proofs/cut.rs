//! The connection to the database breaks in the place of an answer, that of a COMMIT among them.

use std::process::Command;

use crate::channels::receiver::{Receiver, answer};
use crate::harness::{Delivery, TestDatabase, Worker, binary_at};

const MESSAGE: &str = r#"'{"title": "Payment failed"}'"#;

/// At each answer in turn. What is leased is sent, once; no chat that was not sent counts as one that
/// may have arrived; and all of it counts once.
#[tokio::test]
async fn at_each_answer() {
    let db = TestDatabase::new().await;
    db.delivery(Delivery::route("slack").with("message", MESSAGE))
        .await;
    let deliver = |url: &str, receiver: &Receiver| {
        let mut command: Command = binary_at(url);
        command
            .args(["deliver", "--format", "json"])
            .env("NOTIFICATIONS_SLACK_WEBHOOK_URL", receiver.base() + "hook")
            .env("NOTIFY_OUTGOING_ALLOW", "127.0.0.0/8")
            .env("NOTIFY_OUTGOING_PLAIN_HTTP", "true");
        command
    };
    let whole = db.twin().await;
    let (proxy, url) = whole.behind_proxy();
    let receiver = Receiver::start(|_| answer(200, &[], "ok")).await;
    let ended = Worker::start(&mut deliver(&url, &receiver)).end().await;
    assert!(ended.status.success(), "{ended:?}");
    // Without an answer to the first there is no connection.
    for message in 2..=proxy.asked() {
        let twin = db.twin().await;
        let (proxy, url) = twin.behind_proxy();
        proxy.cut_at(message);
        let receiver = Receiver::start(|_| answer(200, &[], "ok")).await;
        let folder = tempfile::tempdir().expect("a folder");
        let metrics = folder.path().join("delivery.prom");
        let mut command = deliver(&url, &receiver);
        command.env("NOTIFY_DELIVERY_METRICS_FILE", &metrics);
        let ended = Worker::start(&mut command).end().await;
        assert!(ended.status.success(), "at message {message}: {ended:?}");
        let metrics = std::fs::read_to_string(metrics).unwrap_or_default();
        let counted = "notify_fan_out_delivery_duration_seconds_count{channel=\"slack\"} 1";
        let ended_once = metrics.lines().any(|line| {
            line.starts_with("notify_fan_out_deliveries_total{channel=\"slack\"")
                && line.ends_with("} 1")
        });
        assert!(
            ended_once && metrics.contains(counted),
            "at message {message}: {metrics}"
        );
        let report = ended.report();
        assert_eq!(
            (
                &report["delivered"],
                &report["uncertain"],
                &report["lost_leases"]
            ),
            (&1.into(), &0.into(), &0.into()),
            "at message {message}: {ended:?}"
        );
        assert_eq!(receiver.count(), 1, "at message {message}");
        let log = "SELECT string_agg(outcome, ' ') FROM notification_delivery_attempts";
        assert_eq!(twin.text(log).await, "delivered", "at message {message}");
    }
}
