//! The two dedup keys of a message: alert and day, and content.

use serde_json::json;
use uuid::Uuid;

use super::{Queued, Stage, immediate, invalid, prefers, taken};
use crate::harness::{binary_at, ends};

fn alert<'a>(to: Uuid, subject: &'a str, keys: &[&str]) -> Queued<'a> {
    Queued {
        event_type: "alert_triggered",
        body_data: json!({"guards": keys}),
        ..immediate(to, subject)
    }
}

#[tokio::test]
async fn a_dedup_key_suppresses_repetitions() {
    let stage = Stage::new().await;
    let [bo, cy] = stage.db.world().await.users(["Bo", "Cy"]).await;
    // Longer than an index takes, and nothing of it can be compressed.
    let numbers = (0..1_000).map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let long = numbers.fold("content:".to_owned(), |words, number| {
        format!("{words}{number:020}")
    });
    let (alert_7, alert_8) = ("day:7:2026-11-21", "day:8:2026-11-21");
    for mail in [
        alert(bo, "first", &[alert_7, "content:aa"]),
        alert(bo, "same alert, same day", &[alert_7, "content:bb"]),
        alert(bo, "same words", &[alert_8, "content:aa"]),
        // A suppressed e-mail suppresses nothing itself.
        alert(bo, "another", &[alert_8, "content:cc"]),
        alert(cy, "to another", &[alert_7, "content:aa"]),
        alert(bo, "long", &[&long]),
        alert(bo, "as long", &[&long]),
    ] {
        stage.queue(mail).await;
    }
    let dry = stage.dry_run(stage.command()).await;
    assert!(dry.ends_with("send=4 cancel=3 dead=0 wait=0\n"), "{dry}");
    assert_eq!(stage.deliver().await, "cancelled=3 delivered=4 mails=7");
    insta::assert_snapshot!(stage.queue_states().await, @"
    first: sent
    same alert, same day: failed cancelled: duplicate: the recipient has already received the same message
    same words: failed cancelled: duplicate: the recipient has already received the same message
    another: sent
    to another: sent
    long: sent
    as long: failed cancelled: duplicate: the recipient has already received the same message
    ");
    // The same words are news again after a day.
    stage.queue(alert(bo, "again", &["content:cc"])).await;
    assert_eq!(stage.deliver().await, "cancelled=1 mails=1");
    let a_day_passes =
        "UPDATE notification_delivery_guards SET until = now() WHERE guard LIKE '%content:cc'";
    stage.db.execute(a_day_passes).await;
    stage.queue(alert(bo, "tomorrow", &["content:cc"])).await;
    assert_eq!(stage.deliver().await, "delivered=1 mails=1");
}

#[tokio::test]
async fn an_event_that_an_older_job_mailed_twice_is_sent_once() {
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
    assert_eq!(stage.deliver().await, "cancelled=1 delivered=1 mails=2");
    insta::assert_snapshot!(stage.queue_states().await, @"
    one: sent
    doubled: failed cancelled: the recipient has already received an e-mail about this event
    ");
}

#[tokio::test]
async fn an_email_that_was_not_sent_suppresses_nothing() {
    let stage = Stage::with(|request| {
        if String::from_utf8_lossy(&request.body).contains("refused") {
            invalid()
        } else {
            taken()
        }
    })
    .await;
    let bo = stage.db.world().await.user("Bo").await;
    stage.db.execute(prefers(bo, "*", "email", "muted")).await;
    stage.queue(alert(bo, "muted", &["content:aa"])).await;
    assert_eq!(stage.deliver().await, "cancelled=1 mails=1");
    let unmute = "DELETE FROM user_notification_preferences";
    stage.db.execute(unmute).await;
    for (subject, counts) in [
        ("refused", "dead=1 mails=1"),
        ("the first that arrives", "delivered=1 mails=1"),
        ("the second", "cancelled=1 mails=1"),
    ] {
        stage.queue(alert(bo, subject, &["content:aa"])).await;
        assert_eq!(stage.deliver().await, counts, "{subject}");
    }
}

#[tokio::test]
async fn cancelled_deliveries_release_their_dedup_keys() {
    let stage = Stage::new().await;
    for (name, status) in [
        ("off", "pending"),
        ("gone", "pending"),
        ("dead", "dead"),
        ("perhaps", "uncertain"),
    ] {
        let hook = stage.endpoint("webhook", name).await;
        stage.tell("webhook", hook, &[name]).await;
        stage
            .db
            .execute(format!(
                "UPDATE notification_deliveries SET status = '{status}' WHERE endpoint_id = '{hook}';
                 INSERT INTO notification_delivery_guards (guard, delivery_key, until)
                 SELECT '{name}', key, now() + interval '1 hour' FROM notification_deliveries WHERE endpoint_id = '{hook}'"
            ))
            .await;
    }
    for line in [
        "endpoint disable off",
        "endpoint remove gone",
        "dead-letters discard --channel webhook",
    ] {
        ends(binary_at(&stage.db.superuser_url()), line, 0);
    }
    let held = "SELECT guard FROM notification_delivery_guards WHERE until > now()";
    assert_eq!(stage.db.texts(held).await, ["perhaps"]);
}
