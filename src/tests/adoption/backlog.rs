//! Events that were there before the job, and what an older job made of them.

use super::{APPLICATION, OLDER_JOB, adopt, backfilled, works};
use crate::harness::{Summary as _, TestDatabase, id};

/// Without `occurred_at` the time of creation tells which events are too old to tell of now.
#[tokio::test]
async fn age_counts_from_created_at_where_there_is_no_occurred_at() {
    let (db, report) = adopt(&format!(
        "{APPLICATION}
         CREATE TABLE domain_events (id bigserial PRIMARY KEY, event_type text NOT NULL, actor_id uuid,
            project_id uuid, resource_id uuid, thread_id uuid, meeting_id uuid, payload jsonb,
            created_at timestamptz NOT NULL DEFAULT now());
         INSERT INTO meetings VALUES ('{0}', 'Old', now(), NULL);
         INSERT INTO domain_events (event_type, meeting_id, created_at)
         SELECT 'meeting_updated', '{0}', now() - n * interval '10 h' FROM generate_series(0, 4) AS n",
        id("meeting", "Old")
    ))
    .await;
    assert_eq!(backfilled(&report), (3, 2));
    let done = db.run().await;
    assert_eq!((done.events, done.expired), (3, 0));
    // Of 0, 10 and 20 hours.
    let all = done.latencies.sum;
    assert!((107_900.0..108_300.0).contains(&all), "{all}");
    assert_eq!(db.standings().await, "completed=3 failed=2");
    works(&db).await;
}

/// An older application goes on inserting without naming the new columns, and a payload may be
/// NULL.
#[tokio::test]
async fn events_without_org_id_and_with_null_payloads() {
    let (db, _) = adopt(&format!(
        "{APPLICATION}
         CREATE TABLE domain_events (id serial PRIMARY KEY, event_type varchar(50) NOT NULL, actor_id uuid,
            project_id uuid, resource_id uuid, thread_id uuid, meeting_id uuid, payload jsonb,
            created_at timestamptz DEFAULT now());"
    ))
    .await;
    works(&db).await;
    let [ada, bo] = ["Ada", "Bo"].map(|name| id("user", name));
    db.execute(format!(
        "INSERT INTO domain_events (event_type, actor_id, thread_id, payload)
         VALUES ('chat_message_sent', '{ada}', '{0}', NULL), ('chat_message_sent', '{ada}', '{0}', 'null');
         INSERT INTO domain_events (event_type, payload) VALUES ('meeting_reminder', NULL);
         INSERT INTO domain_events (event_type, actor_id, payload) VALUES ('invite_accepted', '{bo}', '{{\"org_id\": \"{1}\"}}')",
        id("thread", "Budget"),
        id("org", "Acme"),
    ))
    .await;
    insta::assert_snapshot!(db.run().await.summary(), @"events=3 notifications=1 merged=2 emails=1 failed=1");
}

/// What an older job left at each status: what it has settled stays so, what it has not is settled
/// now, and what it never saw as well.
#[tokio::test]
async fn what_an_older_job_left_is_settled_unless_it_was() {
    let (db, report) = adopt(&format!(
        "{APPLICATION}{OLDER_JOB}
         CREATE INDEX redundant ON notification_processing (event_id);
         INSERT INTO meetings VALUES ('{0}', 'Old', now(), NULL);
         INSERT INTO domain_events (event_type, meeting_id, occurred_at)
         SELECT 'meeting_updated', '{0}', now() - interval '1 h' FROM generate_series(1, 6);
         INSERT INTO notification_processing (event_id, processing_status, processor_id, claimed_at, completed_at, retry_count, error_message)
         VALUES (1, 'pending', NULL, NULL, NULL, 0, NULL), (2, 'processing', 'older', now() - interval '1 h', NULL, 2, NULL),
                (3, 'processing', NULL, NULL, NULL, NULL, NULL), (4, 'completed', 'older', now(), now(), 0, NULL),
                (5, 'failed', 'older', now(), NULL, 3, 'boom');
         UPDATE notification_processing SET created_at = now() - interval '1 h'",
        id("meeting", "Old")
    ))
    .await;
    assert_eq!(backfilled(&report), (1, 0));
    let done = db.run().await;
    assert_eq!((done.events, done.rescued), (4, 2));
    let states = db.texts("SELECT concat_ws(' ', event_id, processing_status, error_message) FROM notification_processing ORDER BY event_id").await;
    insta::assert_snapshot!(states.join("\n"), @"
    1 completed
    2 completed
    3 completed
    4 completed
    5 failed boom
    6 completed
    ");
    works(&db).await;
}

/// Rows that the back-fill makes have their thread; those of an older job do without, and both are
/// settled.
#[tokio::test]
async fn threads_of_events_that_wait() {
    let (db, report) = adopt(&format!(
        "{APPLICATION}{OLDER_JOB}
         INSERT INTO chat_threads VALUES ('{0}', NULL, 'Old'), ('{1}', NULL, 'Older');
         INSERT INTO domain_events (event_type, thread_id)
         VALUES ('chat_message_sent', '{0}'), ('chat_message_sent', '{1}'), ('chat_message_sent', '{0}');
         INSERT INTO notification_processing (event_id) VALUES (2);
         INSERT INTO domain_events (event_type, thread_id, occurred_at)
         VALUES ('chat_message_sent', '{1}', now() - interval '2 days'), ('meeting_updated', NULL, now() - interval '2 days')",
        id("thread", "Old"),
        id("thread", "Older"),
    ))
    .await;
    assert_eq!(backfilled(&report), (2, 2));
    let threads = "SELECT event_id || ' ' || coalesce(topic, '-') FROM notification_processing LEFT JOIN chat_threads ON id = thread_id ORDER BY event_id";
    assert_eq!(
        db.texts(threads).await,
        ["1 Old", "2 -", "3 Old", "4 Older", "5 -"]
    );
    assert_eq!(db.run().await.events, 3);
    works(&db).await;
}

/// Where threads have identifiers of another type the job can't tell anybody of them; but whoever
/// writes events is not to fail for that.
#[tokio::test]
async fn threads_that_are_no_uuids_hinder_no_writer() {
    let (db, report) = adopt(&format!(
        "{APPLICATION}{OLDER_JOB}
         ALTER TABLE domain_events ALTER thread_id TYPE text;
         INSERT INTO domain_events (event_type, thread_id) VALUES ('old', 'thread 1'), ('old', '{}')",
        id("thread", "Old"),
    ))
    .await;
    assert_eq!(report.online.backfilled_pending, 2);
    db.execute(
        "INSERT INTO domain_events (event_type, thread_id) VALUES ('new', 'thread 2'), ('new', gen_random_uuid()::text)",
    )
    .await;
    let pending =
        "notification_processing WHERE processing_status = 'pending' AND thread_id IS NULL";
    assert_eq!(db.count(pending).await, 4);
}

/// Older tables may demand what they have no default for, and rows may lack a status.
#[tokio::test]
async fn columns_without_defaults_are_filled() {
    let old = id("meeting", "Old");
    let event = format!(
        "INSERT INTO domain_events (event_type, meeting_id) VALUES ('meeting_updated', '{old}')"
    );
    let meeting = format!("INSERT INTO meetings VALUES ('{old}', 'Old', now(), NULL)");
    let (db, report) = adopt(&format!(
        "{APPLICATION}{OLDER_JOB} {meeting};
         DROP TABLE notification_processing;
         CREATE TABLE notification_processing (event_id bigint PRIMARY KEY, processing_status text NOT NULL,
            retry_count int NOT NULL, created_at timestamptz NOT NULL, next_attempt_at timestamptz NOT NULL);
         {event}"
    ))
    .await;
    assert_eq!(report.online.backfilled_pending, 1);
    db.execute(event.clone()).await;
    assert_eq!(db.run().await.events, 2);
    works(&db).await;

    let db = TestDatabase::empty().await;
    db.execute(format!(
        "{APPLICATION}{OLDER_JOB} {meeting};
         ALTER TABLE notification_processing ALTER processing_status DROP NOT NULL, ALTER processing_status DROP DEFAULT;
         {event}; INSERT INTO notification_processing (event_id) VALUES (1)"
    ))
    .await;
    db.migrate().await;
    db.execute(event).await;
    assert_eq!(db.standings().await, "pending=2");
    assert_eq!(db.run().await.events, 2);
    works(&db).await;
}

/// However a nudge was sent and its tier was written, the handler knows it again.
#[tokio::test]
async fn nudges_that_an_older_job_sent_are_not_sent_again() {
    let [olga, atlas] = [id("user", "Olga"), id("project", "Atlas")];
    let nudge = |tier: &str| {
        format!(
            r#"{{"user_id": "{olga}", "resume_type": "project", "completion_percent": 10, "nudge_tier": {tier}}}"#
        )
    };
    let (db, report) = adopt(&format!(
        "{APPLICATION}{OLDER_JOB}
         CREATE TYPE kind AS ENUM ('resume_incomplete_nudge', 'chat_message_sent', 'project_access_granted', 'document_uploaded');
         ALTER TABLE domain_events ALTER event_type TYPE kind USING event_type::kind;
         INSERT INTO domain_events (event_type, project_id, payload) VALUES
            ('resume_incomplete_nudge', '{atlas}', '{0}'), ('resume_incomplete_nudge', '{atlas}', '{1}'),
            ('resume_incomplete_nudge', '{atlas}', '{2}'), ('resume_incomplete_nudge', '{atlas}', '{2}'),
            ('resume_incomplete_nudge', '{atlas}', '[]');
         INSERT INTO notification_processing (event_id, processing_status) SELECT n, 'completed' FROM generate_series(1, 5) AS n;
         INSERT INTO pending_emails (user_id, event_id, subject) SELECT '{olga}', n, 'Old' FROM generate_series(1, 2) AS n;
         INSERT INTO notifications (user_id, event_id, title) SELECT '{olga}', n, 'Old' FROM generate_series(3, 5) AS n",
        nudge("1.0"),
        nudge(r#"" second\n""#),
        nudge("3"),
    ))
    .await;
    assert_eq!(report.online.backfilled_once, 3);
    let mut world = db.world().await;
    let olga = world.user("Olga").await;
    let [_, atlas] = world.acme([olga]).await;
    for tier in ["1", "\"second\"", "3.0", "4"] {
        let payload = nudge(tier).parse().expect("JSON");
        world.nudge(olga, atlas, 0).payload(payload).await;
    }
    let done = db.run().await.summary();
    assert_eq!(done, "events=4 notifications=1 emails=1 suppressed=3");
}
