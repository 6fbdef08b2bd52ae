//! `retry` and `discard` of failed events.

use serde_json::json;

use super::{Stage, prune};
use crate::harness::{TestDatabase, Worker};

#[tokio::test]
async fn a_retried_event_starts_afresh() {
    let mut stage = Stage::new().await;
    let event = stage.invalid().await;
    stage.db.run().await;
    // Long ago: its age counts from the retry.
    stage
        .db
        .execute(
            "UPDATE notification_processing
                SET retry_count = 4, occurred_at = now() - interval '9 days', completed_at = now() - interval '9 days'",
        )
        .await;
    stage.db.prints(&format!("retry {event}"));
    let row = "SELECT concat_ws(' ', processing_status, retry_count, claimed_at, claim_token, completed_at,
                      retried_at > now() - interval '1 minute', next_attempt_at <= now(), error_message)
                 FROM notification_processing";
    insta::assert_snapshot!(stage.db.text(row).await, @"pending 0 t t invalid project_access_granted event: payload.affected_user_id is required");

    let bo = stage.bo;
    stage
        .db
        .execute(format!(
            "UPDATE domain_events SET payload = '{{\"affected_user_id\": \"{bo}\"}}'"
        ))
        .await;
    assert_eq!(stage.db.run().await.notifications, 1);
    assert_eq!(stage.db.state(event).await, "completed 0");
}

#[tokio::test]
async fn retry_asks_which() {
    let db = TestDatabase::new().await;
    let (_, error) = db.ends("retry", 2);
    assert!(error.contains("which failed events?"), "{error}");
    db.ends("retry --dry-run", 2);
    db.ends("retry --error ' '", 2);
    let nothing = "No failed event matches; nothing was changed.\n";
    assert_eq!(db.prints("retry --all"), nothing);
}

#[tokio::test]
async fn filters_narrow_each_other() {
    let db = TestDatabase::new().await;
    db.execute(
        "INSERT INTO domain_events (event_type)
         SELECT CASE WHEN n % 2 = 0 THEN 'meeting_updated' ELSE 'invite_accepted' END FROM generate_series(1, 2500) AS n;
         UPDATE domain_events SET event_type = 'payment.failed' WHERE id = 4;
         UPDATE domain_events SET event_type = 'payment_failed' WHERE id = 6;
         UPDATE notification_processing
            SET processing_status = 'failed', completed_at = now(),
                error_message = 'disk ' || event_id || ' is 100% full, says ' || CASE WHEN event_id % 5 = 0 THEN 'C:\\' ELSE '/' END;
         UPDATE notification_processing SET processing_status = 'completed' WHERE event_id = 2",
    )
    .await;
    for (filter, count) in [
        ("--all", 2_499),
        ("--type invite_accepted", 1_250),
        ("--all --type invite_accepted --type meeting_updated", 2_497),
        ("--type payment_failed", 2),
        ("--type payment.failed", 2),
        ("--type payment.failed 4 8", 1),
        (r"--error 'disk … is 100% full, says C:\'", 500),
        ("--error '1_0%'", 0),
        (r"--error 'C:\' --type meeting_updated", 250),
        ("--error 'disk 7 ' 7 8", 1),
    ] {
        let would = db.json(&format!("retry --dry-run {filter}"));
        assert_eq!(would["retried_count"], count, "{filter}");
    }
    assert_eq!(db.statuses().await["failed"], 2_499);
    assert_eq!(
        db.json("retry 1 2 3 4 9999 --type invite_accepted"),
        json!({
            "dry_run": false, "retried_count": 2, "retried_count_by_type": {"invite_accepted": 2},
            "not_retried": [
                {"event_id": 2, "state": "completed"},
                {"event_id": 4, "state": "failed_but_filtered_out"},
                {"event_id": 9_999, "state": "no_such_event"},
            ],
            "stopped_early": false,
        })
    );
    // More than one batch.
    assert_eq!(db.json("retry --all")["retried_count"], 2_497);
    let statuses = [("completed".to_owned(), 1), ("pending".to_owned(), 2_499)];
    assert_eq!(db.statuses().await, statuses.into());
}

/// As in a table that an older job made.
#[tokio::test]
async fn identifiers_of_events_may_be_integers() {
    let mut stage = Stage::new().await;
    stage.invalid().await;
    let db = &stage.db;
    db.run().await;
    db.execute("ALTER TABLE notification_processing ALTER event_id TYPE integer")
        .await;
    for line in ["retry --all --dry-run", "discard --all"] {
        let changed = db.prints(line);
        assert!(changed.contains("1 failed event"), "{changed}");
    }
}

/// Another one has retried it, and it has failed for another reason.
#[tokio::test]
async fn an_event_that_matches_no_more_once_it_is_locked_is_left() {
    let mut stage = Stage::new().await;
    let event = stage.invalid().await;
    let db = &stage.db;
    db.run().await;
    for action in ["retry", "discard"] {
        db.execute("UPDATE notification_processing SET error_message = 'invalid'")
            .await;
        let otherwise = "UPDATE notification_processing SET error_message = 'disk full'";
        let hold = db.hold(otherwise).await;
        let worker = Worker::start(db.binary().args([action, "--error", "invalid"]));
        db.until_waiting(1).await;
        hold.release().await;
        worker.ends(0).await;
        assert_eq!(db.state(event).await, "failed 0 disk full", "{action}");
    }
}

#[tokio::test]
async fn what_nobody_wants_is_discarded_and_pruned() {
    let mut stage = Stage::new().await;
    let [invalid, expired] = [stage.invalid().await, stage.granted().await];
    let db = &stage.db;
    db.execute(format!(
        "UPDATE notification_processing SET occurred_at = occurred_at - interval '90 days' WHERE event_id = {expired}"
    ))
    .await;
    assert_eq!(db.run().await.expired, 1);
    // To notify late is not advised.
    let text = db.prints("status");
    let discard =
        "→ expired events that are no longer wanted: notify-fan-out discard --error expired";
    assert!(text.contains(discard), "{text}");
    let retry = "notify-fan-out retry --error 'invalid";
    assert!(text.contains(retry), "{text}");
    assert!(!text.contains("retry --error 'expired"), "{text}");
    db.ends("discard", 2);
    let dry = db.json("discard --error expired --dry-run");
    assert_eq!(dry["discarded_count"], 1);
    assert_eq!(dry["dry_run"], true);
    assert_eq!(db.statuses().await["failed"], 2);
    let report = db.json("discard --error expired");
    let by_type = &report["discarded_count_by_type"];
    assert_eq!(*by_type, json!({ "project_access_granted": 1 }));
    assert!(db.state(invalid).await.starts_with("failed "));
    insta::assert_snapshot!(db.state(expired).await, @"completed 0 discarded: expired: pending for longer than the age limit");
    assert_eq!(db.run().await.events, 0);
    let named = db.json(&format!("discard {expired}"));
    assert_eq!(named["not_discarded"][0]["state"], "completed");
    stage.days_pass(31).await;
    assert_eq!(prune(&stage.db, true).await.processing_rows_count, 1);
    assert_eq!(stage.db.count("domain_events").await, 1);
}
