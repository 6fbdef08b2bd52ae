//! Digests that are large, or sent again.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::{Stage, aggregated, body, counts, taken};
use crate::channels::receiver::Reply;
use crate::harness::{Worker, id};

/// So many mails of one person, of these in the first project all but the last.
fn many(mails: u32, body_data: &str) -> String {
    format!(
        "WITH events AS (
            INSERT INTO domain_events (event_type) SELECT 'document_uploaded' FROM generate_series(1, {mails}) RETURNING id)
         INSERT INTO pending_emails (user_id, event_id, event_type, delivery_type, subject, created_at, project_id, project_name, body_data)
         SELECT p.id, e.id, 'document_uploaded', 'aggregated', 'Document ' || e.id,
                now() - interval '5 h' + e.id * interval '1 ms', '{atlas}', 'Atlas', {body_data}
           FROM profiles p, events e WHERE p.full_name = 'Bo'",
        atlas = id("project", "Atlas"),
    )
}

#[tokio::test]
async fn everyone_has_a_digest_of_the_window() {
    let stage = Stage::new().await;
    stage.db.world().await.people(250).await;
    stage
        .db
        .execute(
            "WITH events AS (
                INSERT INTO domain_events (event_type) SELECT 'document_uploaded' FROM generate_series(1, 10) RETURNING id)
             INSERT INTO pending_emails (user_id, event_id, event_type, delivery_type, subject, created_at)
             SELECT p.id, e.id, 'document_uploaded', 'aggregated', 'Document',
                    -- The first thousand are those of a hundred people.
                    now() - interval '4 h' + dense_rank() OVER (ORDER BY p.id) * interval '1 ms'
               FROM profiles p, events e",
        )
        .await;
    assert_eq!(
        counts(&stage.deliver().await),
        "delivered=250 digests=250 mails=2500"
    );
    assert_eq!(stage.outside.requests().len(), 250);
}

#[tokio::test]
async fn a_window_is_one_digest_and_its_subject_is_true() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    stage.db.execute(many(700, "'{}'")).await;
    let other = json!({"project_id": id("project", "Quayside"), "project_name": "Quayside"});
    stage
        .queue(super::Queued {
            body_data: other,
            ..aggregated(bo, "One more")
        })
        .await;
    assert_eq!(
        counts(&stage.deliver().await),
        "delivered=1 digests=1 mails=701"
    );
    assert_eq!(
        stage.mails(),
        ["Bo <bo@example.com>: 701 updates in 2 projects"]
    );
}

#[tokio::test]
async fn what_a_mail_says_is_not_read_for_a_digest() {
    let stage = Stage::new().await;
    stage.db.world().await.user("Bo").await;
    let data = "jsonb_build_object('link_url', '/document/' || e.id, 'text', repeat(md5(e.id::text), 30000))";
    stage.db.execute(many(150, data)).await;
    let mut worker = Worker::start(&mut stage.command());
    let mut peak = 0;
    while !worker.has_ended() {
        peak = worker.peak_bytes().unwrap_or(0).max(peak);
        tokio::task::yield_now().await;
    }
    assert!(worker.end().await.status.success());
    let mails = stage.outside.requests();
    let text = body(&mails[0])["text"].as_str().expect("a text").to_owned();
    assert!(text.contains("https://app.example.com/document/"), "{text}");
    // The bodies have 144 MB.
    assert!(peak < 64 * 1_024 * 1_024, "{peak} bytes");
}

#[tokio::test]
async fn one_that_may_have_arrived_is_sent_again_as_it_was() {
    let answers = AtomicUsize::new(0);
    let stage = Stage::with(move |_| match answers.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::Cut,
        _ => taken(),
    })
    .await;
    let bo = stage.db.world().await.user("Bo").await;
    for subject in ["read before", "read meanwhile", "unread"] {
        stage.queue(aggregated(bo, subject)).await;
    }
    let read = |subject: &str| {
        format!(
            "INSERT INTO notifications (user_id, event_id, title, read_at)
             SELECT user_id, event_id, subject, now() FROM pending_emails WHERE subject = '{subject}'"
        )
    };
    stage.db.execute(read("read before")).await;
    assert!(counts(&stage.deliver().await).ends_with("retried=1"));
    assert_eq!(
        stage
            .db
            .texts("SELECT outcome FROM notification_delivery_attempts")
            .await,
        ["uncertain"]
    );
    stage.db.execute(read("read meanwhile")).await;
    stage.let_time_pass().await;
    assert_eq!(counts(&stage.deliver().await), "delivered=1");
    let requests = stage.outside.requests();
    let key = |place: usize| &requests[place].headers["idempotency-key"];
    assert_eq!(key(0), key(1));
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!(
        stage.queue_states().await,
        [
            "read before: failed cancelled: the notification was read in the application",
            "read meanwhile: sent",
            "unread: sent",
        ]
    );
}
