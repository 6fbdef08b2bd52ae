//! `retry` and `discard` of failed events.

use serde_json::json;

use super::{Stage, json_of, prune, text_of};
use crate::harness::TestDatabase;

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
    stage.db.cli(&["retry", &event.to_string()]).success();
    let row = stage
        .db
        .text(
            "SELECT concat_ws(' ', processing_status, retry_count, claimed_at, claim_token, completed_at,
                    retried_at > now() - interval '1 minute', next_attempt_at <= now(), error_message)
               FROM notification_processing",
        )
        .await;
    assert_eq!(
        row,
        "pending 0 t t invalid project_access_granted event: payload.affected_user_id is required"
    );

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
    let refused = db.cli(&["retry"]).code(2);
    let error = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(error.contains("which failed events?"), "{error}");
    db.cli(&["retry", "--dry-run"]).code(2);
    db.cli(&["retry", "--error", " "]).code(2);
    assert_eq!(
        text_of(&db.cli(&["retry", "--all"]).success()),
        "No failed event matches; nothing was requeued.\n"
    );
}

#[tokio::test]
async fn filters_narrow_each_other() {
    let db = TestDatabase::new().await;
    db.execute(
        "INSERT INTO domain_events (event_type)
         SELECT CASE WHEN n % 2 = 0 THEN 'meeting_updated' ELSE 'invite_accepted' END FROM generate_series(1, 2500) AS n;
         UPDATE notification_processing
            SET processing_status = 'failed', completed_at = now(),
                error_message = 'disk ' || event_id || ' is 100% full, says ' || CASE WHEN event_id % 5 = 0 THEN 'C:\\' ELSE '/' END;
         UPDATE notification_processing SET processing_status = 'completed' WHERE event_id = 2",
    )
    .await;
    let would = |arguments: &[&str]| {
        let arguments = [&["retry", "--dry-run", "--format", "json"], arguments].concat();
        json_of(&db.cli(&arguments).success())["retried_count"].clone()
    };
    assert_eq!(would(&["--all"]), 2_499);
    assert_eq!(would(&["--type", "invite_accepted"]), 1_250);
    assert_eq!(
        would(&[
            "--all",
            "--type",
            "invite_accepted",
            "--type",
            "meeting_updated"
        ]),
        2_499
    );
    db.execute(
        "UPDATE domain_events SET event_type = 'payment.failed' WHERE id = 4;
         UPDATE domain_events SET event_type = 'payment_failed' WHERE id = 6",
    )
    .await;
    for name in ["payment_failed", "payment.failed"] {
        assert_eq!(would(&["--type", name]), 2);
        assert_eq!(would(&["--type", name, "4", "8"]), 1);
    }
    assert_eq!(would(&["--error", "disk … is 100% full, says C:\\"]), 500);
    assert_eq!(would(&["--error", "1_0%"]), 0);
    assert_eq!(
        would(&["--error", "C:\\", "--type", "meeting_updated"]),
        250
    );
    assert_eq!(would(&["--error", "disk 7 ", "7", "8"]), 1);
    assert_eq!(db.statuses().await["failed"], 2_499);

    let some = db
        .cli(&[
            "retry",
            "1",
            "2",
            "3",
            "4",
            "9999",
            "--type",
            "invite_accepted",
            "--format",
            "json",
        ])
        .success();
    assert_eq!(
        json_of(&some),
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
    assert_eq!(
        json_of(&db.cli(&["retry", "--all", "--format", "json"]).success())["retried_count"],
        2_497
    );
    assert_eq!(
        db.statuses().await,
        [("completed".to_owned(), 1), ("pending".to_owned(), 2_499)].into()
    );
}

#[tokio::test]
async fn what_nobody_wants_is_discarded_and_pruned() {
    let mut stage = Stage::new().await;
    let [invalid, expired] = [stage.invalid().await, stage.granted().await];
    let age = "SET occurred_at = occurred_at - interval '90 days'";
    stage
        .db
        .execute(format!(
            "UPDATE notification_processing {age} WHERE event_id = {expired}"
        ))
        .await;
    assert_eq!(stage.db.run().await.expired, 1);
    // To notify late is not advised.
    let text = text_of(&stage.db.cli(&["status"]).success());
    assert!(
        text.contains(
            "→ expired events that are no longer wanted: notify-fan-out discard --error expired"
        ),
        "{text}"
    );
    assert!(
        text.contains("notify-fan-out retry --error 'invalid")
            && !text.contains("retry --error 'expired"),
        "{text}"
    );
    let discard = |arguments: &[&str]| {
        stage
            .db
            .cli(&[&["discard", "--format", "json"], arguments].concat())
    };
    discard(&[]).code(2);
    let dry = json_of(&discard(&["--error", "expired", "--dry-run"]).success());
    assert_eq!(
        (&dry["discarded_count"], &dry["dry_run"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(stage.db.statuses().await["failed"], 2);
    let report = json_of(&discard(&["--error", "expired"]).success());
    assert_eq!(
        report["discarded_count_by_type"],
        json!({ "project_access_granted": 1 })
    );
    assert!(stage.db.state(invalid).await.starts_with("failed "));
    assert_eq!(
        stage.db.state(expired).await,
        "completed 0 discarded: expired: pending for longer than the age limit"
    );
    assert_eq!(stage.db.run().await.events, 0);
    let named = json_of(&discard(&[&expired.to_string()]).success());
    assert_eq!(named["not_discarded"][0]["state"], "completed");
    stage.days_pass(31).await;
    assert_eq!(prune(&stage.db, true).await.processing_rows_count, 1);
    assert_eq!(stage.db.count("domain_events").await, 1);
}
