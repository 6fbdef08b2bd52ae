//! The two dedup keys of a message: alert and day, and content.

use serde_json::json;

use super::{Queued, Stage, answer, counts, immediate, taken};
use crate::harness::{Worker, binary_at};

#[tokio::test]
async fn a_dedup_key_suppresses_repetitions() {
    let stage = Stage::new().await;
    let [bo, cy] = stage.db.world().await.users(["Bo", "Cy"]).await;
    let alert = |to, subject, keys: &[&str]| Queued {
        event_type: "alert_triggered",
        body_data: json!({"guards": keys}),
        ..immediate(to, subject)
    };
    stage
        .queue(alert(bo, "first", &["day:7:2026-11-21", "content:aa"]))
        .await;
    stage
        .queue(alert(
            bo,
            "same alert, same day",
            &["day:7:2026-11-21", "content:bb"],
        ))
        .await;
    stage
        .queue(alert(bo, "same words", &["day:8:2026-11-21", "content:aa"]))
        .await;
    // A suppressed e-mail suppresses nothing itself.
    stage
        .queue(alert(bo, "another", &["day:8:2026-11-21", "content:cc"]))
        .await;
    stage
        .queue(alert(cy, "to another", &["day:7:2026-11-21", "content:aa"]))
        .await;
    let ended = Worker::start(stage.command().arg("--dry-run")).end().await;
    assert!(
        ended.stdout.ends_with("send=3 cancel=2 dead=0 wait=0\n"),
        "{}",
        ended.stdout
    );
    assert_eq!(
        counts(&stage.deliver().await),
        "cancelled=2 delivered=3 mails=5"
    );
    let cancelled =
        "failed cancelled: duplicate: the recipient has already received the same message";
    assert_eq!(
        stage.queue_states().await,
        [
            "first: sent".to_owned(),
            format!("same alert, same day: {cancelled}"),
            format!("same words: {cancelled}"),
            "another: sent".to_owned(),
            "to another: sent".to_owned(),
        ]
    );
    // The same words are news again after a day.
    stage.queue(alert(bo, "again", &["content:cc"])).await;
    assert_eq!(counts(&stage.deliver().await), "cancelled=1 mails=1");
    stage
        .db
        .execute(
            "UPDATE notification_delivery_guards SET until = now() WHERE guard LIKE '%content:cc'",
        )
        .await;
    stage.queue(alert(bo, "tomorrow", &["content:cc"])).await;
    assert_eq!(counts(&stage.deliver().await), "delivered=1 mails=1");
}

#[tokio::test]
async fn an_event_mailed_twice_by_an_older_job() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    stage.queue(immediate(bo, "one")).await;
    stage
        .db
        .execute(
            "DROP INDEX IF EXISTS pending_emails_event_user_key;
             ALTER TABLE pending_emails DROP CONSTRAINT IF EXISTS pending_emails_event_id_user_id_key;
             INSERT INTO pending_emails (user_id, event_id, event_type, delivery_type, subject)
             SELECT user_id, event_id, event_type, delivery_type, 'doubled' FROM pending_emails",
        )
        .await;
    assert_eq!(
        counts(&stage.deliver().await),
        "cancelled=1 delivered=1 mails=2"
    );
    assert_eq!(
        stage.queue_states().await,
        [
            "one: sent",
            "doubled: failed cancelled: the recipient has already received an e-mail about this event"
        ]
    );
}

#[tokio::test]
async fn an_email_that_was_not_sent_suppresses_nothing() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    let alert = |subject| Queued {
        event_type: "alert_triggered",
        body_data: json!({"guards": ["content:aa"]}),
        ..immediate(bo, subject)
    };
    let mute = |status: &str| {
        format!(
            "DELETE FROM user_notification_preferences;
             INSERT INTO user_notification_preferences (user_id, scope_type, event_type, channel, status)
             VALUES ('{bo}', 'global', '*', 'email', '{status}')"
        )
    };
    stage.db.execute(mute("muted")).await;
    stage.queue(alert("while muted")).await;
    assert_eq!(counts(&stage.deliver().await), "cancelled=1 mails=1");
    stage.db.execute(mute("immediate")).await;
    stage.queue(alert("the first that arrives")).await;
    assert_eq!(counts(&stage.deliver().await), "delivered=1 mails=1");
    stage.queue(alert("the second")).await;
    assert_eq!(counts(&stage.deliver().await), "cancelled=1 mails=1");
}

#[tokio::test]
async fn cancelled_deliveries_release_their_dedup_keys() {
    let stage = Stage::new().await;
    let take_key = |key: &str, delivery: i64| {
        format!(
            "INSERT INTO notification_delivery_guards (guard, delivery_key, until)
             SELECT '{key}', key, now() + interval '1 hour' FROM notification_deliveries WHERE id = {delivery}"
        )
    };
    let mut ids = Vec::new();
    for name in ["off", "gone", "dead", "perhaps"] {
        let hook = stage.endpoint(name, "webhook").await;
        ids.push(stage.tell(hook, name).await);
        stage.db.execute(take_key(name, ids[ids.len() - 1])).await;
    }
    stage
        .db
        .execute(format!(
            "UPDATE notification_deliveries SET status = 'dead' WHERE id = {};
             UPDATE notification_deliveries SET status = 'uncertain' WHERE id = {}",
            ids[2], ids[3]
        ))
        .await;
    for arguments in [
        &["endpoint", "disable", "off"][..],
        &["endpoint", "remove", "gone"],
        &["dead-letters", "discard", "--channel", "webhook"],
    ] {
        let mut command = binary_at(&stage.db.superuser_url());
        let ended = Worker::start(command.args(arguments)).end().await;
        assert!(ended.status.success(), "{ended:?}");
    }
    assert_eq!(
        stage
            .db
            .texts("SELECT guard FROM notification_delivery_guards WHERE until > now()")
            .await,
        ["perhaps"]
    );
}

#[tokio::test]
async fn a_dead_letter_suppresses_nothing() {
    let stage = Stage::with(|request| {
        if String::from_utf8_lossy(&request.body).contains("refused") {
            answer(422, &[], r#"{"name":"validation_error","message":"no"}"#)
        } else {
            taken()
        }
    })
    .await;
    let bo = stage.db.world().await.user("Bo").await;
    let alert = |subject| Queued {
        event_type: "alert_triggered",
        body_data: json!({"guards": ["content:aa"]}),
        ..immediate(bo, subject)
    };
    stage.queue(alert("refused")).await;
    assert_eq!(counts(&stage.deliver().await), "dead=1 mails=1");
    stage.queue(alert("the first that arrives")).await;
    assert_eq!(counts(&stage.deliver().await), "delivered=1 mails=1");
    stage.queue(alert("the second")).await;
    assert_eq!(counts(&stage.deliver().await), "cancelled=1 mails=1");
}
