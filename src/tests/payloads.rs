//! Payloads that no application should write, beside those that one does.

use crate::harness::{TestDatabase, Worker};

/// Far too large, and of each shape. The first two shrink in storage, the last two don't.
const HUGE: [(&str, &str); 4] = [
    (
        "a text",
        "jsonb_build_object('full_content', repeat('a', 50000000))",
    ),
    (
        "depth",
        "(SELECT jsonb_build_object('preview', jsonb_agg((repeat('[', 1000) || repeat(']', 1000))::jsonb)) FROM generate_series(1, 1000))",
    ),
    (
        "identifiers",
        "(SELECT jsonb_build_object('mentioned_user_ids', jsonb_agg(gen_random_uuid())) FROM generate_series(1, 1250000))",
    ),
    (
        "keys",
        "(SELECT jsonb_object_agg(md5(n::text), n) FROM generate_series(1, 100000) AS n)",
    ),
];

#[tokio::test]
async fn payload_that_is_too_large_fails_its_event_alone() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let people = world.people(3).await;
    let town = world.thread("Town", &people).await;
    let kickoff = world.meeting("Kick-off", &people).await;
    for (_, payload) in HUGE {
        world
            .execute(format!(
                "INSERT INTO domain_events (event_type, thread_id, payload)
                 VALUES ('chat_message_sent', '{town}', {payload})"
            ))
            .await;
    }
    for _ in 0..50 {
        world.updated(kickoff).await;
    }
    // The dry run and explain say the same.
    let refused = "payload must have at most 1048576 bytes, and has ";
    let dry = db.prints("run --dry-run");
    assert_eq!(dry.matches(refused).count(), HUGE.len(), "{dry}");
    let explained = db.prints("explain 1");
    assert!(explained.contains(refused), "{explained}");

    let worker = Worker::start(db.binary().args(["run", "--format", "json"]));
    db.until("EXISTS (SELECT FROM notification_processing WHERE processing_status <> 'pending')")
        .await;
    let peak = worker.peak_bytes();
    worker.ends(3).await;
    assert!(peak.is_none_or(|bytes| bytes < 50_000_000), "{peak:?}");
    for (event, (shape, _)) in (1..).zip(HUGE) {
        let state = db.state(event).await;
        let refused = format!("failed 0 invalid chat_message_sent event: {refused}");
        assert!(state.starts_with(&refused), "{shape}: {state}");
    }
    assert_eq!(db.count("notifications").await, 50 * 3);
    assert_eq!(db.standings().await, "completed=50 failed=4");
}

/// However long the claim takes, and a second one ends the process.
#[tokio::test]
async fn signal_is_answered_during_a_claim() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let kickoff = world.meeting("Kick-off", []).await;
    world.updated(kickoff).await;
    let lock = "LOCK TABLE domain_events IN ACCESS EXCLUSIVE MODE";
    let hold = db.hold(lock).await;
    let worker = Worker::start(&mut db.binary());
    db.until_waiting(1).await;
    worker.signal("TERM");
    // Of another number: two of the same that are pending are one.
    worker.signal("INT");
    let ended = worker.end().await;
    // Whichever came second.
    assert!(matches!(ended.status.code(), Some(143 | 130)), "{ended:?}");
    let stopping = "stopping after the batch in hand";
    assert!(ended.stderr.contains(stopping), "{ended:?}");
    hold.release().await;
}

/// Numbers and depths that can't be represented matter only where they are read.
#[tokio::test]
async fn payload_is_bounded_where_it_is_read() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let people = world.people(3).await;
    let town = world.thread("Town", &people).await;
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    world
        .execute(format!(
            r#"INSERT INTO domain_events (event_type, thread_id, payload) VALUES
                ('chat_message_sent', '{town}', '{{"internal": 1e400, "preview": "Hello"}}'),
                ('chat_message_sent', '{town}', '{{"internal": {deep}, "preview": "Hello"}}'),
                ('thread_unread_stale', '{town}', '{{"user_id": 1e400}}'),
                ('chat_message_sent', '{town}', '1e400');
               INSERT INTO domain_events (event_type, thread_id, payload)
               SELECT 'chat_message_sent', '{town}', jsonb_build_object('mentioned_user_ids',
                        (SELECT jsonb_agg(gen_random_uuid()) FROM generate_series(1, count)))
                 FROM unnest(ARRAY[10000, 10001]) AS count"#
        ))
        .await;
    db.prints("run --dry-run");
    db.prints("explain 1");
    db.run().await;
    insta::assert_snapshot!(db.states(1..=6).await, @"
    completed 0
    completed 0
    failed 0 invalid thread_unread_stale event: payload.user_id must be a UUID
    failed 0 invalid chat_message_sent event: payload must be JSON of double-precision numbers, at most 127 levels deep
    completed 0
    failed 0 invalid chat_message_sent event: payload.mentioned_user_ids must have at most 10000 entries
    ");
    assert_eq!(
        db.text("SELECT DISTINCT coalesce_count FROM notifications")
            .await,
        "3"
    );
}

/// What is copied into rows has its bounds, whatever was written.
#[tokio::test]
async fn rows_hold_no_more_than_a_part_of_a_payload() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let people = world.people(1).await;
    let kickoff = world.meeting("Kick-off", &people).await;
    world
        .execute(format!(
            "INSERT INTO domain_events (event_type, meeting_id, payload) VALUES
                ('meeting_updated', '{kickoff}', jsonb_build_object('start_time', repeat('9', 100000),
                    'changes', jsonb_build_object('timeChanged', true, 'before', repeat('x', 100000)),
                    'meeting_title', repeat('t', 100000), 'actor_name', repeat('n', 100000)))"
        ))
        .await;
    db.run().await;
    let row = "SELECT concat_ws(' ', payload -> 'changes', length(notifications::text) < 50000) FROM notifications";
    insta::assert_snapshot!(db.text(row).await, @r#"{"timeChanged": true} t"#);
}
