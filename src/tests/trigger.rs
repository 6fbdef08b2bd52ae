//! A committed event has a pending row beside it, however and by whomever it was inserted.

use crate::harness::TestDatabase;

/// So many events, each of which has its row.
async fn assert_enqueued(db: &TestDatabase<'_>, events: u64) {
    let missing = "domain_events e WHERE NOT EXISTS (
        SELECT FROM notification_processing p
         WHERE p.event_id = e.id AND p.processing_status = 'pending' AND p.occurred_at = e.occurred_at
           AND p.next_attempt_at <= now() AND p.retry_count = 0
           AND p.thread_id IS NOT DISTINCT FROM e.thread_id)";
    assert_eq!(db.count(missing).await, 0);
    assert_eq!(db.count("domain_events").await, events);
    assert_eq!(db.count("notification_processing").await, events);
}

#[tokio::test]
async fn each_event_that_is_inserted_is_enqueued() {
    let db = TestDatabase::new().await;
    for (insert, events) in [
        ("INSERT INTO domain_events (event_type) VALUES ('a')", 1),
        (
            "INSERT INTO domain_events (event_type) SELECT 'a' FROM generate_series(1, 5000)",
            5_000,
        ),
        // With its thread, by which what waits in it is found.
        (
            "INSERT INTO domain_events (event_type, thread_id) VALUES ('a', gen_random_uuid()), ('b', NULL)",
            2,
        ),
        // No row at all, one that is refused, and one that is rolled back.
        (
            "INSERT INTO domain_events (event_type) SELECT 'a' WHERE false;
             INSERT INTO domain_events (id, event_type) VALUES (1, 'b') ON CONFLICT DO NOTHING;
             BEGIN; INSERT INTO domain_events (event_type) VALUES ('a'); ROLLBACK",
            0,
        ),
    ] {
        let before = db.count("domain_events").await;
        db.execute(insert).await;
        assert_enqueued(&db, before + events).await;
    }
    let mut connection = db.connect().await;
    let copy = "COPY domain_events (event_type, occurred_at) FROM STDIN";
    let mut copy = connection.copy_in_raw(copy).await.expect("copy");
    let rows = b"a\t2026-01-01 00:00Z\n".repeat(3_000);
    copy.send(rows.as_slice()).await.expect("copy");
    copy.finish().await.expect("copy");
    assert_enqueued(&db, 8_003).await;
}

/// The application's role may insert events and nothing else; its search path leads astray, and
/// where it leads, something bears the names that the trigger speaks of.
#[tokio::test]
async fn role_without_rights_and_with_a_hostile_search_path_enqueues() {
    let db = TestDatabase::new().await;
    db.execute(
        "DO $$ BEGIN CREATE ROLE nfo_test_writer;
         EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
         CREATE SCHEMA evil AUTHORIZATION nfo_test_writer;
         GRANT INSERT ON domain_events TO nfo_test_writer;
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO nfo_test_writer;
         REVOKE ALL ON notification_processing FROM PUBLIC;
         SET ROLE nfo_test_writer;
         SET search_path = evil, public, pg_catalog;
         CREATE TABLE evil.notification_processing (event_id bigint PRIMARY KEY, occurred_at timestamptz);
         CREATE TEMP TABLE inserted (id bigint, occurred_at timestamptz);
         CREATE TEMP TABLE notification_processing (event_id bigint PRIMARY KEY, occurred_at timestamptz);
         CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil'; END $$;
         INSERT INTO public.domain_events (event_type) VALUES ('a');
         INSERT INTO public.domain_events (event_type) SELECT 'a' FROM generate_series(1, 100)",
    )
    .await;
    assert_enqueued(&db, 101).await;
    assert_eq!(db.count("evil.notification_processing").await, 0);
    // The function that has rights is of no use to anybody else.
    let is_open = "SELECT has_function_privilege('public', 'notify_fan_out_enqueue()', 'EXECUTE')";
    assert_eq!(db.text(is_open).await, "false");
}

/// An event of another transaction is claimed once it is committed, in whatever order that comes.
#[tokio::test]
async fn late_commits_are_claimed() {
    let db = TestDatabase::new().await;
    let insert = "INSERT INTO domain_events (event_type, meeting_id) VALUES ('meeting_updated', gen_random_uuid())";
    let late = db.hold(insert).await;
    db.execute(insert).await;
    assert_eq!(db.run().await.events, 1);
    late.release().await;
    assert_eq!(db.run().await.events, 1);
    assert!(db.run().await.is_idle());
}

/// For whoever looks with psql: what the next run would claim, oldest first.
#[tokio::test]
async fn inspection_function_lists_what_is_due() {
    let db = TestDatabase::new().await;
    db.execute(
        "INSERT INTO domain_events (event_type) SELECT 'e' || n FROM generate_series(1, 5) n;
         UPDATE notification_processing SET processing_status = 'completed' WHERE event_id = 1;
         UPDATE notification_processing SET next_attempt_at = now() + interval '1 h' WHERE event_id = 2;
         UPDATE notification_processing SET next_attempt_at = now() - interval '1 h' WHERE event_id = 5",
    )
    .await;
    for (limit, due) in [("2", &["e5", "e3"][..]), ("", &["e5", "e3", "e4"])] {
        let listed = format!("SELECT event_type FROM get_pending_notification_events({limit})");
        assert_eq!(db.texts(listed).await, due);
    }
}

/// Without a foreign key a row outlives its event. Another event with its identifier is a new one;
/// the same event, restored, is not.
#[tokio::test]
async fn event_with_an_identifier_that_an_earlier_one_had_is_enqueued() {
    let db = TestDatabase::new().await;
    db.execute(
        "ALTER TABLE notification_processing DROP CONSTRAINT notification_processing_event_id_fkey;
         INSERT INTO domain_events (id, event_type, meeting_id, occurred_at)
         SELECT id, 'meeting_updated', gen_random_uuid(), now() - interval '1 h' FROM generate_series(1, 2) AS id",
    )
    .await;
    assert_eq!(db.run().await.events, 2);
    db.execute(
        "CREATE TABLE restored AS SELECT * FROM domain_events WHERE id = 2;
         DELETE FROM domain_events;
         INSERT INTO domain_events SELECT * FROM restored;
         INSERT INTO domain_events (id, event_type, meeting_id) VALUES (1, 'meeting_updated', gen_random_uuid())",
    )
    .await;
    assert_eq!(db.run().await.events, 1);
    assert_eq!(db.state(1).await, "completed 0");
}
