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
async fn that_are_too_large_fail_alone() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let readers = world.people(3).await;
    let town = world.thread("Town", &readers).await;
    let kickoff = world.meeting("Kick-off", &readers).await;
    for (_, payload) in HUGE {
        world
            .execute(format!(
                "INSERT INTO domain_events (event_type, thread_id, payload)
                 VALUES ('chat_message_sent', '{town}', {payload})"
            ))
            .await;
    }
    world
        .execute(format!(
            "INSERT INTO domain_events (event_type, meeting_id)
             SELECT 'meeting_updated', '{kickoff}' FROM generate_series(1, 50)"
        ))
        .await;
    let worker = Worker::start(db.binary().args(["run", "--format", "json"]));
    db.until("EXISTS (SELECT FROM notification_processing WHERE processing_status <> 'pending')")
        .await;
    let peak = worker.peak_bytes();
    let ended = worker.end().await;
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert!(peak.is_none_or(|bytes| bytes < 50_000_000), "{peak:?}");
    for (event, (shape, _)) in (1..).zip(HUGE) {
        let state = db.state(event).await;
        let refused = "failed 0 invalid chat_message_sent event: payload must have at most 1048576 bytes, and has ";
        assert!(state.starts_with(refused), "{shape}: {state}");
    }
    assert_eq!(db.count("notifications").await, 50 * 3);
    assert_eq!(
        db.statuses().await,
        [("completed".to_owned(), 50), ("failed".to_owned(), 4)].into()
    );
    // The dry run and explain say the same.
    db.execute(
        "UPDATE notification_processing SET processing_status = 'pending', completed_at = NULL",
    )
    .await;
    let dry = db.cli(&["run", "--dry-run"]).get_output().clone();
    let dry = String::from_utf8_lossy(&dry.stdout).into_owned();
    assert_eq!(
        dry.matches("payload must have at most").count(),
        HUGE.len(),
        "{dry}"
    );
    let explained = db.cli(&["explain", "1"]).get_output().clone();
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(
        explained.contains("payload must have at most"),
        "{explained}"
    );
}

/// However long the claim takes, a signal is answered, and a second one ends the process.
#[tokio::test]
async fn do_not_keep_signals_waiting() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let kickoff = world.meeting("Kick-off", []).await;
    world.event("meeting_updated").meeting(kickoff).await;
    let hold = db
        .hold("LOCK TABLE domain_events IN ACCESS EXCLUSIVE MODE")
        .await;
    let worker = Worker::start(&mut db.binary());
    db.until_waiting(1).await;
    worker.signal("TERM");
    // Of another number: two of the same that are pending are one.
    worker.signal("INT");
    let ended = worker.end().await;
    // Whichever came second.
    assert!(
        [Some(128 + 15), Some(128 + 2)].contains(&ended.status.code()),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("stopping after the batch in hand"),
        "{ended:?}"
    );
    hold.release().await;
}

#[tokio::test]
async fn with_a_list_that_is_too_long() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let readers = world.people(3).await;
    let town = world.thread("Town", &readers).await;
    for (count, state) in [
        (10_000, "completed 0"),
        (
            10_001,
            "failed 0 invalid chat_message_sent event: payload.mentioned_user_ids must have at most 10000 entries",
        ),
    ] {
        world
            .execute(format!(
                "INSERT INTO domain_events (event_type, thread_id, payload)
                 SELECT 'chat_message_sent', '{town}', jsonb_build_object('mentioned_user_ids', jsonb_agg(gen_random_uuid()))
                   FROM generate_series(1, {count})"
            ))
            .await;
        db.run().await;
        let last = db.text("SELECT max(id) FROM domain_events").await;
        assert_eq!(db.state(last.parse().expect("a number")).await, state);
    }
}

/// Numbers and depths that can't be represented matter only where they are read.
#[tokio::test]
async fn with_what_cannot_be_represented() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let readers = world.people(3).await;
    let town = world.thread("Town", &readers).await;
    world
        .execute(format!(
            r#"INSERT INTO domain_events (event_type, thread_id, payload) VALUES
                ('chat_message_sent', '{town}', '{{"internal": 1e400, "preview": "Hello"}}'),
                ('thread_unread_stale', '{town}', '{{"user_id": 1e400}}'),
                ('chat_message_sent', '{town}', '1e400')"#
        ))
        .await;
    db.run().await;
    let mut states = Vec::new();
    for event in 1..=3 {
        states.push(db.state(event).await);
    }
    insta::assert_snapshot!(states.join("\n"), @"
    completed 0
    failed 0 invalid thread_unread_stale event: payload.user_id must be a UUID
    failed 0 invalid chat_message_sent event: payload must be JSON of double-precision numbers, at most 127 levels deep
    ");
    assert_eq!(db.count("notifications WHERE body LIKE '%Hello%'").await, 3);
}

/// What is copied into rows has its bounds, whatever was written.
#[tokio::test]
async fn leave_no_more_than_some_of_them_in_rows() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let readers = world.people(1).await;
    let kickoff = world.meeting("Kick-off", &readers).await;
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
