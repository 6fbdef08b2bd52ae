//! `TRUNCATE … RESTART IDENTITY`: identifiers begin anew, and what is known of an earlier event is
//! not held against the one that has its identifier now.

use serde_json::json;

use super::{Stage, counts};
use crate::harness::{binary_at, id};

const TRUNCATE: &str = "TRUNCATE domain_events RESTART IDENTITY CASCADE";

/// An operator event for an endpoint, and one that is mailed.
async fn happen(stage: &Stage) {
    let mut world = stage.db.world().await;
    let node = world.event("node_launched");
    node.payload(json!({"node_id": 1})).await;
    let granted = world
        .event("project_access_granted")
        .project(id("project", "Atlas"));
    let payload = json!({"affected_user_id": id("user", "Bo")});
    granted.payload(payload).await;
}

/// Deletes what is old, as who may.
fn prune(stage: &Stage, arguments: &[&str]) {
    let mut command = binary_at(&stage.db.superuser_url());
    command.arg("prune").args(arguments);
    assert_cmd::Command::from_std(command).assert().success();
}

async fn stage() -> Stage {
    let stage = Stage::new().await;
    let mut world = stage.db.world().await;
    world.user("Bo").await;
    let acme = world.org("Acme", []).await;
    world.project("Atlas", acme).await;
    stage.endpoint("ops", "webhook").await;
    stage
}

#[tokio::test]
async fn what_was_sent_of_an_earlier_event_stands_in_no_ones_way() {
    let stage = stage().await;
    for round in 1..=3 {
        happen(&stage).await;
        // One of the first round waits to be sent, when the identifiers begin anew.
        assert_eq!(stage.db.run().await.deliveries, 1, "round {round}");
        if round > 1 {
            let sent = if round == 2 { 3 } else { 2 };
            let report = stage.deliver().await;
            assert_eq!(report["delivered"], json!(sent), "{}", counts(&report));
            assert_eq!(stage.queue_states().await.len(), 1);
        }
        stage.db.execute(TRUNCATE).await;
    }
}

#[tokio::test]
async fn what_was_pruned_is_another_event() {
    let stage = stage().await;
    happen(&stage).await;
    stage.db.run().await;
    stage
        .db
        .execute("UPDATE notification_processing SET completed_at = now() - interval '40 days'")
        .await;
    prune(&stage, &["--older-than", "30d"]);
    assert_eq!(stage.db.count("notification_pruned").await, 1);
    stage.db.execute(TRUNCATE).await;
    stage
        .db
        .execute("ALTER TABLE domain_events DISABLE TRIGGER notify_fan_out_enqueue")
        .await;
    happen(&stage).await;
    let doctor = stage.db.cli(&["doctor"]).code(6);
    let findings = String::from_utf8_lossy(&doctor.get_output().stdout).into_owned();
    assert!(
        findings.contains("identifiers are reused: earlier events had 2 and higher"),
        "{findings}"
    );
    assert!(
        findings.contains("2 events of the last day have no processing row"),
        "{findings}"
    );
    // Neither deleted as if it had been processed …
    stage
        .db
        .execute("UPDATE notification_pruned SET completed_at = now() - interval '30 days'")
        .await;
    prune(&stage, &["--older-than", "1d", "--events"]);
    assert_eq!(stage.db.count("domain_events").await, 2);
    // … nor skipped.
    assert_eq!(stage.db.migrate().await.online.backfilled_pending, 2);
    assert_eq!(stage.db.run().await.events, 2);
}
