//! The connection to the database breaks in the place of an answer, that of a COMMIT among them.

use std::process::Command;

use crate::channels::receiver::{Receiver, answer};
use crate::deliver::start;
use crate::harness::{Delivery, TestDatabase, binary_at};

async fn receiver() -> Receiver {
    Receiver::start(|_| answer(200, &[], "ok")).await
}

fn deliver(url: &str, receiver: &Receiver) -> Command {
    let mut command = binary_at(url);
    command
        .arg("deliver")
        .env("NOTIFICATIONS_SLACK_WEBHOOK_URL", receiver.base() + "hook")
        .env("NOTIFY_OUTGOING_ALLOW", "127.0.0.0/8")
        .env("NOTIFY_OUTGOING_PLAIN_HTTP", "true");
    command
}

async fn one_for_slack() -> TestDatabase<'static> {
    let db = TestDatabase::new().await;
    db.delivery(Delivery::route("slack").says("Payment failed"))
        .await;
    db
}

/// At each answer in turn. What is leased is sent, once; no chat that was not sent counts as one that
/// may have arrived; and all of it counts once.
#[tokio::test]
async fn a_cut_at_any_answer_loses_and_repeats_nothing() {
    let db = one_for_slack().await;
    let whole = db.twin().await;
    let (proxy, url) = whole.behind_proxy();
    let ended = start(&mut deliver(&url, &receiver().await)).end().await;
    assert!(ended.status.success(), "{ended:?}");
    // Without an answer to the first there is no connection.
    for message in 2..=proxy.asked() {
        let twin = db.twin().await;
        let (proxy, url) = twin.behind_proxy();
        proxy.cut_at(message);
        let receiver = receiver().await;
        let folder = tempfile::tempdir().expect("a folder");
        let metrics = folder.path().join("delivery.prom");
        let mut command = deliver(&url, &receiver);
        command.env("NOTIFY_DELIVERY_METRICS_FILE", &metrics);
        let ended = start(&mut command).end().await;
        assert!(ended.status.success(), "at message {message}: {ended:?}");
        let metrics = std::fs::read_to_string(metrics).unwrap_or_default();
        for name in ["deliveries_total", "delivery_duration_seconds_count"] {
            let of_slack = format!("notify_fan_out_{name}{{channel=\"slack\"");
            let is_one = |line: &str| line.starts_with(&of_slack) && line.ends_with("} 1");
            assert!(
                metrics.lines().any(is_one),
                "{name} at {message}: {metrics}"
            );
        }
        let report = ended.report();
        let counts = ["delivered", "uncertain", "lost_leases"].map(|name| &report[name]);
        assert_eq!(counts, [1, 0, 0], "at message {message}: {ended:?}");
        assert_eq!(receiver.count(), 1, "at message {message}");
        let log = "SELECT string_agg(outcome, ' ') FROM notification_delivery_attempts";
        assert_eq!(twin.text(log).await, "delivered", "at message {message}");
    }
}

/// The database refuses to record the result with others, and the COMMIT of another transaction is not
/// answered: that of the result by itself among them. What was recorded counts as what it is.
#[tokio::test]
async fn a_commit_in_doubt_of_a_result_that_is_recorded_by_itself_is_looked_up() {
    let db = one_for_slack().await;
    db.execute(
        "CREATE SEQUENCE tries;
         CREATE FUNCTION refuse_first() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
             IF nextval('public.tries') = 1 THEN RAISE 'not with others'; END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER refuse_first BEFORE UPDATE ON notification_deliveries FOR EACH ROW
            WHEN (NEW.status = 'delivered') EXECUTE FUNCTION refuse_first()",
    )
    .await;
    let mut in_doubt = 0;
    for commit in 2..=4 {
        let twin = db.twin().await;
        let (proxy, url) = twin.behind_proxy();
        proxy.lose_commits(&(commit..=commit));
        let receiver = receiver().await;
        let ended = start(&mut deliver(&url, &receiver)).end().await;
        assert!(ended.status.success(), "at COMMIT {commit}: {ended:?}");
        in_doubt += ended.stderr.matches("could not be recorded").count();
        let report = ended.report();
        let counts = ["delivered", "lost_leases"].map(|name| &report[name]);
        assert_eq!(counts, [1, 0], "at COMMIT {commit}: {ended:?}");
        assert_eq!(receiver.count(), 1, "at COMMIT {commit}");
    }
    assert_eq!(in_doubt, 1);
}
