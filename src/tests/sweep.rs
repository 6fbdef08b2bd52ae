//! Events that no trigger enqueues are found by each run, in a glance at the newest.

use crate::harness::{Server, TestDatabase};

const MARK: &str = "SELECT swept_to || ' ' || seen_to FROM notification_sweep";

/// Inserts events as a restore or a replication tool does: no trigger fires.
async fn insert_unseen(db: &TestDatabase<'_>, values: &str) {
    db.execute(format!(
        "SET session_replication_role = replica;
         INSERT INTO domain_events (id, event_type, meeting_id) {values}"
    ))
    .await;
}

/// So many events without a processing row, the first of them with this identifier.
fn events(first: i64, count: i64) -> String {
    format!(
        "SELECT id, 'meeting_updated', gen_random_uuid() FROM generate_series({first}, {}) AS id",
        first + count - 1
    )
}

#[tokio::test]
async fn events_inserted_into_a_partition_are_enqueued() {
    let db = TestDatabase::empty().await;
    db.execute(
        "CREATE TABLE domain_events (
            id bigserial PRIMARY KEY, event_type text NOT NULL, meeting_id uuid,
            occurred_at timestamptz DEFAULT now()
         ) PARTITION BY RANGE (id);
         CREATE TABLE domain_events_1 PARTITION OF domain_events FOR VALUES FROM (1) TO (1000);
         CREATE TABLE domain_events_2 PARTITION OF domain_events FOR VALUES FROM (1000) TO (MAXVALUE)",
    )
    .await;
    db.migrate().await;
    db.execute(
        "INSERT INTO domain_events (event_type, meeting_id) VALUES ('meeting_updated', gen_random_uuid());
         INSERT INTO domain_events_1 (event_type, meeting_id) VALUES ('meeting_updated', gen_random_uuid());
         INSERT INTO domain_events_2 (id, event_type, meeting_id) VALUES (2000, 'meeting_updated', gen_random_uuid())",
    )
    .await;
    assert_eq!(db.count("notification_processing").await, 1);
    let dry = db.prints("run --dry-run");
    assert!(dry.contains("would first enqueue 2 events"), "{dry}");
    let findings = db.prints("doctor");
    assert!(findings.contains("directly into a partition"), "{findings}");
    let report = db.run().await;
    assert_eq!((report.enqueued, report.events), (2, 3));
    assert_eq!(db.run().await.enqueued, 0);
}

#[tokio::test]
async fn replicated_events_are_enqueued() {
    let server = Server::start_with("-c wal_level=logical");
    let publisher = TestDatabase::on(&server).await;
    let subscriber = TestDatabase::on(&server).await;
    let (socket, port) = server.socket();
    // A slot is made in a transaction of its own.
    for statement in [
        "CREATE PUBLICATION events FOR TABLE domain_events",
        "SELECT pg_create_logical_replication_slot('events', 'pgoutput')",
    ] {
        publisher.execute(statement).await;
    }
    subscriber
        .execute(format!(
            "CREATE SUBSCRIPTION events CONNECTION 'host={socket} port={port} dbname={} user=postgres'
                PUBLICATION events WITH (create_slot = false, slot_name = 'events')",
            publisher.name()
        ))
        .await;
    subscriber
        .until("SELECT count(*) = 1 FROM pg_subscription_rel WHERE srsubstate = 'r'")
        .await;
    publisher
        .execute("INSERT INTO domain_events (event_type, meeting_id) VALUES ('meeting_updated', gen_random_uuid())")
        .await;
    subscriber
        .until("SELECT count(*) = 1 FROM domain_events")
        .await;
    assert_eq!(subscriber.count("notification_processing").await, 0);
    let report = subscriber.run().await;
    assert_eq!((report.enqueued, report.events), (1, 1));
    subscriber.execute("DROP SUBSCRIPTION events").await;
}

/// What is committed late has a lower identifier than what was there before.
#[tokio::test]
async fn events_committed_late_are_enqueued() {
    let db = TestDatabase::new().await;
    let late = db
        .hold("SET session_replication_role = replica; INSERT INTO domain_events (id, event_type, meeting_id) VALUES (1, 'meeting_updated', gen_random_uuid())")
        .await;
    insert_unseen(&db, &events(2, 3)).await;
    assert_eq!(db.run().await.enqueued, 3);
    late.release().await;
    assert_eq!(db.run().await.enqueued, 1);

    // After a while they are not looked at again.
    let [before, seen] = [format!("{} 4", i64::MIN), "4 4".to_owned()];
    for mark in [before, seen] {
        db.execute("UPDATE notification_sweep SET seen_at = now() - interval '11 minutes'")
            .await;
        assert!(db.run().await.is_idle());
        assert_eq!(db.text(MARK).await, mark);
    }
}

/// More than one statement looks at: none is left to a later run, and each statement leaves its newest
/// to be looked at again.
#[tokio::test]
async fn many_events_are_enqueued_by_one_run() {
    let db = TestDatabase::new().await;
    insert_unseen(&db, &events(1, 45_000)).await;
    let mut settings = db.settings();
    settings.ignored_types = vec!["meeting_updated".to_owned()];
    settings.batch_size = 10_000;
    let report = db.run_with(&settings).await;
    assert_eq!((report.enqueued, report.ignored), (45_000, 45_000));
    assert_eq!(db.text(MARK).await, "30000 40000");
}

/// Identifiers begin anew below the mark; or have come beyond it before anybody looks.
#[tokio::test]
async fn identifiers_that_began_anew_are_enqueued() {
    for (first, then, is_below) in [(events(1_000, 3), 3, true), (events(1, 3), 9, false)] {
        let db = TestDatabase::new().await;
        insert_unseen(&db, &first).await;
        assert_eq!(db.run().await.enqueued, 3);
        db.execute("UPDATE notification_sweep SET swept_to = id, seen_to = id FROM (SELECT max(id) AS id FROM domain_events) AS newest")
            .await;
        db.execute("TRUNCATE domain_events RESTART IDENTITY CASCADE")
            .await;
        if is_below {
            assert!(db.run().await.is_idle());
        }
        insert_unseen(&db, &events(1, then)).await;
        if is_below {
            // Whenever they occurred.
            db.execute("UPDATE domain_events SET occurred_at = '2026-01-01'")
                .await;
        }
        let enqueued = db.run().await.enqueued;
        assert_eq!(enqueued, then.unsigned_abs());
    }
}

/// What was processed and pruned has no row either.
#[tokio::test]
async fn pruned_events_are_not_enqueued_again() {
    let db = TestDatabase::new().await;
    insert_unseen(&db, &events(1, 3)).await;
    assert_eq!(db.run().await.events, 3);
    db.execute(
        "DELETE FROM notification_processing;
         INSERT INTO notification_pruned (event_ids, completed_at) VALUES ('[1,3]', now())",
    )
    .await;
    assert!(db.run().await.is_idle());
    assert_eq!(db.count("notification_processing").await, 0);
}
