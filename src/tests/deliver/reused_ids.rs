//! `TRUNCATE … RESTART IDENTITY`: identifiers begin anew, and what is known of an earlier event is
//! not held against the one that has its identifier now.

use serde_json::json;

use super::Stage;
use crate::harness::{binary_at, ends, id};

const TRUNCATE: &str = "TRUNCATE domain_events RESTART IDENTITY CASCADE";

/// An operator event for an endpoint, and one that is mailed.
async fn happen(stage: &Stage) {
    let mut world = stage.db.world().await;
    let node = world.event("node_launched");
    node.payload(json!({"node_id": 1})).await;
    let granted = world.event("project_access_granted");
    let payload = json!({"affected_user_id": id("user", "Bo")});
    granted
        .project(id("project", "Atlas"))
        .payload(payload)
        .await;
}

/// Deletes what is old, as who may.
fn prune(stage: &Stage, arguments: &str) {
    let owner = binary_at(&stage.db.superuser_url());
    ends(owner, &format!("prune {arguments}"), 0);
}

async fn stage() -> Stage {
    let stage = Stage::new().await;
    let mut world = stage.db.world().await;
    world.user("Bo").await;
    let acme = world.org("Acme", []).await;
    world.project("Atlas", acme).await;
    stage.endpoint("webhook", "ops").await;
    stage
}

#[tokio::test]
async fn what_was_sent_of_an_earlier_event_stops_no_later_one() {
    let stage = stage().await;
    for round in 1..=3 {
        happen(&stage).await;
        // One of the first round waits to be sent, when the identifiers begin anew.
        assert_eq!(stage.db.run().await.deliveries, 1, "round {round}");
        if round > 1 {
            let sent = if round == 2 { 3 } else { 2 };
            let counts = format!("delivered={sent} mails=1");
            assert_eq!(stage.deliver().await, counts, "round {round}");
        }
        stage.db.execute(TRUNCATE).await;
    }
}

#[tokio::test]
async fn what_was_pruned_is_another_event() {
    let stage = stage().await;
    let db = &stage.db;
    happen(&stage).await;
    db.run().await;
    db.execute("UPDATE notification_processing SET completed_at = now() - interval '40 days'")
        .await;
    prune(&stage, "--older-than 30d");
    assert_eq!(db.count("notification_pruned").await, 1);
    db.execute(TRUNCATE).await;
    db.execute("ALTER TABLE domain_events DISABLE TRIGGER notify_fan_out_enqueue")
        .await;
    happen(&stage).await;
    let (findings, _) = db.ends("doctor", 6);
    for found in [
        "identifiers are reused: earlier events had 2 and higher",
        "2 events of the last day have no processing row",
    ] {
        assert!(findings.contains(found), "{findings}");
    }
    // Neither deleted as if it had been processed …
    db.execute("UPDATE notification_pruned SET completed_at = now() - interval '30 days'")
        .await;
    prune(&stage, "--older-than 1d --events");
    assert_eq!(db.count("domain_events").await, 2);
    // … nor skipped.
    assert_eq!(db.migrate().await.online.backfilled_pending, 2);
    assert_eq!(db.run().await.events, 2);
}
