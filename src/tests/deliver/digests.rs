//! Digests: what is in one, how large it may be, and how it is sent again.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use uuid::Uuid;

use super::{Queued, Stage, aggregated, answer, body, immediate, prefers, taken, text_of};
use crate::channels::receiver::Reply;
use crate::harness::{Worker, id};

fn of_project<'a>(to: Uuid, project: &str, subject: &'a str) -> Queued<'a> {
    Queued {
        body_data: json!({"project_id": id("project", project), "project_name": project}),
        ..aggregated(to, subject)
    }
}

/// The notification of a mail is read in the application.
fn read(subject: &str) -> String {
    format!(
        "INSERT INTO notifications (user_id, event_id, title, read_at)
         SELECT user_id, event_id, subject, now() FROM pending_emails WHERE subject = '{subject}';"
    )
}

#[tokio::test]
async fn a_digest_lists_all_of_a_window_by_project() {
    let stage = Stage::new().await;
    let [bo, cy] = stage.db.world().await.users(["Bo", "Cy"]).await;
    for mail in [
        of_project(bo, "Quayside", "Ada uploaded Rent roll"),
        of_project(bo, "Atlas", "Ada uploaded Budget"),
        of_project(bo, "Quayside", "Ada uploaded Lease"),
        of_project(cy, "Atlas", "Ada uploaded Budget"),
    ] {
        stage.queue(mail).await;
    }
    // Of the window that is not over yet.
    let late = stage
        .queue(of_project(cy, "Atlas", "Ada uploaded Plan"))
        .await;
    let window = "to_timestamp(floor(extract(epoch FROM now()) / 10800) * 10800)";
    let late = format!("UPDATE pending_emails SET created_at = {window} WHERE id = {late}");
    stage.db.execute(late).await;
    assert_eq!(stage.deliver().await, "delivered=2 digests=2 mails=4");
    assert_eq!(
        stage.mails(),
        [
            "Bo <bo@example.com>: 3 updates in 2 projects",
            "Cy <cy@example.com>: Ada uploaded Budget",
        ]
    );
    let mut texts = stage
        .outside
        .requests()
        .into_iter()
        .map(|mail| text_of(&mail));
    let text = texts
        .find(|text| text.contains("Quayside"))
        .expect("a digest");
    let places = ["Atlas", "Budget", "Quayside", "Rent roll", "Lease"]
        .map(|word| text.find(word).expect(word));
    assert!(places.is_sorted(), "{text}");
    // Whoever had one of this window waits for the next, whatever comes late.
    stage
        .queue(of_project(bo, "Atlas", "Ada uploaded Annex"))
        .await;
    assert_eq!(stage.deliver().await, "");
    let next_window =
        "UPDATE notification_deliveries SET digest_window = digest_window - interval '3 hours'";
    stage.db.execute(next_window).await;
    assert_eq!(stage.deliver().await, "delivered=1 digests=1 mails=1");
    assert!(
        stage
            .queue_states()
            .await
            .ends_with("Ada uploaded Plan: pending\nAda uploaded Annex: sent")
    );
}

#[tokio::test]
async fn what_is_read_or_deleted_is_left_out() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    let subjects = [
        "Older",
        "Already seen",
        "Deleted",
        "Mail alone",
        "Still new",
    ];
    for subject in subjects {
        stage.queue(aggregated(bo, subject)).await;
    }
    let read = read("Already seen");
    stage
        .db
        .execute(format!(
            "{read} INSERT INTO notifications (user_id, event_id, title)
             SELECT user_id, event_id, subject FROM pending_emails WHERE subject = 'Still new';
             UPDATE pending_emails SET has_notification = subject <> 'Mail alone' WHERE subject <> 'Older'"
        ))
        .await;
    assert_eq!(stage.deliver().await, "delivered=1 digests=1 mails=5");
    let text = text_of(&stage.outside.requests()[0]);
    let listed = subjects.map(|subject| text.contains(subject));
    assert_eq!(listed, [true, false, false, true, true], "{text}");
    insta::assert_snapshot!(stage.queue_states().await, @"
    Older: sent
    Already seen: failed cancelled: the notification was read in the application
    Deleted: failed cancelled: the notification was deleted
    Mail alone: sent
    Still new: sent
    ");
}

#[tokio::test]
async fn an_empty_digest_is_not_sent() {
    let stage = Stage::new().await;
    let [bo, cy, di] = stage.db.world().await.users(["Bo", "Cy", "Di"]).await;
    stage.queue(aggregated(bo, "muted since")).await;
    stage.queue(aggregated(cy, "read since")).await;
    stage.queue(immediate(di, "muted as well")).await;
    for statement in [
        prefers(bo, "*", "email", "muted"),
        prefers(di, "invite_accepted", "*", "muted"),
        prefers(cy, "*", "email", "muted"),
        prefers(cy, "document_uploaded", "email", "digest"),
        read("read since"),
    ] {
        stage.db.execute(statement).await;
    }
    assert_eq!(stage.deliver().await, "cancelled=3 digests=2 mails=3");
    assert_eq!(stage.outside.count(), 0);
    insta::assert_snapshot!(stage.deliveries().await, @"
    invite_accepted cancelled 0 muted (the recipient has muted such e-mails)
    digest cancelled 0 muted (the recipient has muted such e-mails)
    digest cancelled 0 read (the notification was read in the application)
    ");
    assert_eq!(stage.db.count("notification_delivery_attempts").await, 0);
    let failed = "pending_emails WHERE status = 'failed'";
    assert_eq!(stage.db.count(failed).await, 3);
}

/// So many mails of one project for Bo, of which the first are those of the fewest milliseconds.
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
        stage.deliver().await,
        "delivered=250 digests=250 mails=2500"
    );
    assert_eq!(stage.outside.requests().len(), 250);
}

#[tokio::test]
async fn a_window_is_one_digest_and_its_subject_is_true() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    stage.db.execute(many(700, "'{}'")).await;
    stage.queue(of_project(bo, "Quayside", "One more")).await;
    assert_eq!(stage.deliver().await, "delivered=1 digests=1 mails=701");
    let subject = "Bo <bo@example.com>: 701 updates in 2 projects";
    assert_eq!(stage.mails(), [subject]);
}

#[tokio::test]
async fn the_text_of_a_mail_is_not_read_for_a_digest() {
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
    let text = text_of(&stage.outside.requests()[0]);
    assert!(text.contains("https://app.example.com/document/"), "{text}");
    // The bodies have 144 MB.
    assert!(peak < 64 * 1_024 * 1_024, "{peak} bytes");
}

/// One that was refused is made anew, with a key of its own; one that may have arrived is not.
#[tokio::test]
async fn one_that_may_have_arrived_is_sent_again_as_it_was() {
    let answers = AtomicUsize::new(0);
    let stage = Stage::with(move |_| match answers.fetch_add(1, Ordering::SeqCst) {
        0 => answer(503, &[], "later"),
        1 => Reply::Cut,
        _ => taken(),
    })
    .await;
    let bo = stage.db.world().await.user("Bo").await;
    for subject in ["read before", "read meanwhile", "read too late", "unread"] {
        stage.queue(aggregated(bo, subject)).await;
    }
    stage.db.execute(read("read before")).await;
    assert!(stage.deliver().await.ends_with("retried=1"));
    for (subject, counts) in [
        ("read meanwhile", "retried=1"),
        ("read too late", "delivered=1"),
    ] {
        stage.db.execute(read(subject)).await;
        stage.let_time_pass().await;
        assert_eq!(stage.deliver().await, counts);
    }
    let outcomes = "SELECT outcome FROM notification_delivery_attempts ORDER BY id";
    assert_eq!(
        stage.db.texts(outcomes).await,
        ["retry", "uncertain", "delivered"]
    );
    let requests = stage.outside.requests();
    let key = |place: usize| &requests[place].headers["idempotency-key"];
    assert_ne!(key(0), key(1));
    assert_ne!(requests[0].body, requests[1].body);
    assert_eq!(key(1), key(2));
    assert_eq!(requests[1].body, requests[2].body);
    assert_eq!(body(&requests[2])["subject"], "2 updates");
    insta::assert_snapshot!(stage.queue_states().await, @"
    read before: failed cancelled: the notification was read in the application
    read meanwhile: failed cancelled: the notification was read in the application
    read too late: sent
    unread: sent
    ");
}
