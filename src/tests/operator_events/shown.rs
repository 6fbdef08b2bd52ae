//! Endpoints in a dry run and in explain.

use serde_json::json;

use super::{alert, with_endpoints};
use crate::harness::{BO, RunCommand as _};

#[tokio::test]
async fn dry_run_and_explain_list_endpoints() {
    let endpoints = [
        ("slack", "ops"),
        ("webhook", "program"),
        ("slack", "sleeping"),
    ];
    let (db, mut world) = with_endpoints(endpoints).await;
    let choice = json!({"name": "CPU", "channels": {"inapp": true, "slack": true, "sms": true}});
    let first = alert(&mut world, "a", choice).await.to_string();
    let again = alert(&mut world, "a", json!({"message": "again"})).await;
    let again = again.to_string();
    let bo = BO.to_string();
    db.execute("UPDATE notification_endpoints SET enabled = false WHERE name = 'sleeping'")
        .await;
    let explained = |event: &str, more: &[&str]| {
        let mut command = db.binary();
        let output = command.args(["explain", event]).args(more).prints();
        let lines = output.lines().filter(|line| {
            let volatile = ["  occurred", "  status", "  worker"];
            !volatile.iter().any(|start| line.starts_with(start))
        });
        let shown = lines.collect::<Vec<_>>().join("\n").replace(&bo, "BO");
        // What became of the deliveries is another matter.
        let (shown, _) = shown.split_once("\n\nDeliveries:").unwrap_or((&shown, ""));
        shown.to_owned()
    };
    insta::assert_snapshot!(db.prints("run --dry-run").replace(&bo, "BO"), @"
    event 1        alert_triggered
        BO  app: delivered                     e-mail: none for this event           Alert CPU was triggered
        ops                                   slack                              queued                              Alert CPU was triggered
        sleeping                              slack                              disabled
        BO  sms                                queued                              Alert CPU was triggered
        program                               webhook                            another channel was chosen
    event 2        alert_triggered
        BO  app: skipped: notified once before  e-mail: skipped: notified once before
        ops                                   slack                              duplicate alert of that day
        sleeping                              slack                              disabled
        program                               webhook                            queued                              Alert a was triggered
    Dry run: nothing was written. A run would settle events=2 notifications=1 merged=0 emails=0 deliveries=3 suppressed=2 failed=0 expired=0 ignored=0 expired_unhandled=0
    ");
    let (lines, summary) = db.dry_run("");
    let promised = lines
        .iter()
        .filter(|line| line["kind"] == "endpoint" && line["outcome"] == "queued");
    let promised: Vec<_> = promised
        .map(|line| line["message"]["title"].to_string())
        .collect();
    assert_eq!(db.run().await.deliveries, summary["would"]["deliveries"]);
    let made = "SELECT message -> 'title' FROM notification_deliveries WHERE status = 'pending' ORDER BY event_id, channel, recipient";
    assert_eq!(db.texts(made).await, promised);
    insta::assert_snapshot!(explained(&first, &[]), @"
    event 1  alert_triggered
      audience  the person BO

    What it did:
      Alert CPU was triggered
        BO  Bo
          app    delivered, unread (notifications 1)  default of the event type
          e-mail none for this event                  the event type
      Endpoints
        slack    ops                                        pending (notification_deliveries 1)  scope and event types of the endpoint
        slack    sleeping                                   disabled                             the endpoint is disabled
        sms      user:BO  pending (notification_deliveries 2)  the event's channels
        webhook  program                                    another channel was chosen           the event's channels
    ");
    insta::assert_snapshot!(explained(&again, &[]), @"
    event 2  alert_triggered
      audience  the person BO

    What it did:
      Alert a was triggered
        BO  Bo
          both   skipped: notified once before  once per person (notification_once)
      Endpoints
        slack    ops       cancelled (notification_deliveries 3)  notification_delivery_guards
        slack    sleeping  disabled                               the endpoint is disabled
        webhook  program   pending (notification_deliveries 4)    scope and event types of the endpoint
    ");
    let of_bo = explained(&first, &["--user", &bo]);
    assert!(
        of_bo.contains("sms  user:BO  pending") && !of_bo.contains("ops"),
        "{of_bo}"
    );

    db.execute(format!(
        "ALTER TABLE profiles ADD COLUMN IF NOT EXISTS phone text;
         UPDATE profiles SET phone = '+49 151 12345678' WHERE id = '{bo}'"
    ))
    .await;
    db.migrate().await;
    let explained = db.prints(&format!("explain {first}"));
    assert!(explained.contains("+49…78"), "{explained}");
    assert!(!explained.contains("@example.com"), "{explained}");
}
