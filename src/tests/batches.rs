//! What a claim takes: the oldest of what is due, and what else is due in their threads.

use uuid::Uuid;

use crate::harness::{Summary as _, TestDatabase, World};

const COUNTS: &str = "SELECT DISTINCT coalesce_count FROM notifications";

struct Stage {
    db: TestDatabase<'static>,
    world: World,
    readers: [Uuid; 2],
}

impl Stage {
    async fn new() -> Self {
        let db = TestDatabase::new().await;
        let mut world = db.world().await;
        let readers = world.users(["Ada", "Bo"]).await;
        Self { db, world, readers }
    }

    async fn thread(&mut self, no: usize) -> Uuid {
        self.world
            .thread(&format!("Thread {no}"), self.readers)
            .await
    }

    async fn messages(&mut self, thread: Uuid, count: usize) {
        for _ in 0..count {
            self.world.message(thread).await;
        }
    }

    /// Which claim took each event, counted from 1, in the order of the events; 0: none.
    async fn claims(&self) -> Vec<u64> {
        let claims = self
            .db
            .texts(
                "SELECT CASE WHEN claim_token IS NULL THEN 0
                        ELSE dense_rank() OVER (ORDER BY claim_token) END
                   FROM notification_processing ORDER BY event_id",
            )
            .await;
        claims
            .iter()
            .map(|claim| claim.parse().expect("a number"))
            .collect()
    }
}

/// A backlog in which the threads take turns: each is settled at once.
#[tokio::test]
async fn a_thread_is_claimed_together() {
    let mut stage = Stage::new().await;
    let mut threads = Vec::new();
    for no in 0..12 {
        threads.push(stage.thread(no).await);
    }
    for thread in [&threads[..], &threads].concat() {
        stage.world.message(thread).await;
    }
    let report = stage.db.run_in_batches(3).await;
    insta::assert_snapshot!(report.summary(), @"batches=4 events=24 notifications=24 merged=24");
    let once = [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4];
    assert_eq!(stage.claims().await, [once, once].concat());
    assert_eq!(stage.db.text(COUNTS).await, "2");
}

/// Whatever else is in the thread: an event of another type goes along, one that nobody
/// can decode is put aside, one that is too old has expired, and what is not due, or ended, stays
/// as it is.
#[tokio::test]
async fn only_what_is_due_goes_along() {
    let mut stage = Stage::new().await;
    let thread = stage.thread(1).await;
    let kickoff = stage.world.meeting("Kick-off", stage.readers).await;
    let first = stage.world.message(thread).await;
    let later = stage.world.message(thread).await;
    let failed = stage.world.message(thread).await;
    let other = stage.world.updated(kickoff).thread(thread).await;
    let unknown = stage.world.event("moon_landed").thread(thread).await;
    let old = stage.world.message(thread).hours_ago(25).await;
    // With these the first one fills the claim.
    for _ in 0..4 {
        stage.world.updated(kickoff).await;
    }
    stage
        .db
        .execute(format!(
            "UPDATE notification_processing SET next_attempt_at = next_attempt_at - interval '1 h'
              WHERE event_id = {first} OR thread_id IS NULL;
             UPDATE notification_processing SET next_attempt_at = now() + interval '1 h' WHERE event_id = {later};
             UPDATE notification_processing SET processing_status = 'failed' WHERE event_id = {failed}"
        ))
        .await;
    let report = stage.db.run_in_batches(5).await;
    insta::assert_snapshot!(report.summary(), @r#"events=6 notifications=12 expired=1 unhandled_types=["moon_landed"]"#);
    assert_eq!(stage.claims().await, [1, 0, 0, 1, 1, 1, 1, 1, 1, 1]);
    let states = stage.db.states([first, later, failed, other, unknown, old]);
    insta::assert_snapshot!(states.await, @"
    completed 0
    pending 0
    failed 0
    completed 0
    pending 0
    failed 0 expired: pending for longer than the age limit
    ");
}

/// What goes along counts like any other.
#[tokio::test]
async fn what_goes_along_counts_towards_the_limit() {
    let mut stage = Stage::new().await;
    let busy = stage.thread(0).await;
    for no in 1..=8 {
        let quiet = stage.thread(no).await;
        stage.messages(busy, 4).await;
        stage.world.message(quiet).await;
    }
    // A few that have expired, among those that go along too.
    stage
        .db
        .execute("UPDATE notification_processing SET occurred_at = now() - interval '25 h' WHERE event_id % 7 = 0")
        .await;
    let mut settings = stage.db.settings();
    settings.batch_size = 3;
    let mut settled = 0;
    for limit in 1..=8 {
        settings.limit = Some(limit);
        let report = stage.db.run_with(&settings).await;
        assert_eq!(report.events + report.expired, limit, "{report:?}");
        assert!(report.stopped_early);
        settled += limit;
        let pending = "notification_processing WHERE processing_status = 'pending'";
        assert_eq!(stage.db.count(pending).await, 40 - settled);
    }
    settings.limit = None;
    let report = stage.db.run_with(&settings).await;
    assert_eq!(report.events + report.expired, 40 - settled);
    assert_eq!(stage.db.standings().await, "completed=35 failed=5");
}

/// However much waits in one thread, the oldest come first, whatever they are, and no claim takes
/// more than twice its size.
#[tokio::test]
async fn a_busy_thread_holds_up_nobody() {
    const SIZE: usize = 20;
    let mut stage = Stage::new().await;
    let busy = stage.thread(0).await;
    let quiet = stage.thread(1).await;
    stage
        .world
        .execute(format!(
            "INSERT INTO domain_events (event_type, thread_id)
             SELECT 'chat_message_sent', CASE WHEN n % 50 = 0 THEN '{quiet}'::uuid ELSE '{busy}' END
               FROM generate_series(1, 600) AS n"
        ))
        .await;
    // One by one: those that are inserted together are due at the same time.
    stage
        .db
        .execute("UPDATE notification_processing SET next_attempt_at = next_attempt_at - interval '1 h' + event_id * interval '1 s'")
        .await;
    let size = u32::try_from(SIZE).expect("few");
    let report = stage.db.run_in_batches(size).await;
    assert_eq!(report.events, 600);
    let claims = stage.claims().await;
    let last = usize::try_from(*claims.iter().max().expect("claims")).expect("few");
    assert_eq!(report.batches, last as u64);
    assert!(last < 600 / SIZE, "nothing went along: {last} claims");
    let mut left: Vec<usize> = (0..600).collect();
    for claim in 1..=last as u64 {
        let (taken, others): (Vec<_>, Vec<_>) =
            left.iter().partition(|&&event| claims[event] == claim);
        assert!((1..=2 * SIZE).contains(&taken.len()), "{taken:?}");
        let oldest = &left[..SIZE.min(left.len())];
        assert_eq!(taken[..oldest.len()], *oldest, "claim {claim}");
        left = others;
    }
}

/// Events of another worker are skipped, and not waited for.
#[tokio::test]
async fn events_of_another_worker_stay_with_it() {
    let mut stage = Stage::new().await;
    let thread = stage.thread(1).await;
    stage.messages(thread, 8).await;
    let hold = stage
        .db
        .hold("SELECT FROM notification_processing WHERE event_id IN (3, 4, 6) FOR UPDATE")
        .await;
    let report = stage.db.run_in_batches(2).await;
    assert_eq!((report.batches, report.events), (2, 5));
    assert_eq!(stage.claims().await, [1, 1, 0, 0, 1, 0, 1, 2]);
    hold.release().await;
    let report = stage.db.run_in_batches(2).await;
    assert_eq!((report.batches, report.events), (1, 3));
    assert_eq!(stage.db.text(COUNTS).await, "8");
}

/// Rows that are older than the column have no thread: they are claimed one by one, and merged as
/// ever.
#[tokio::test]
async fn rows_without_a_thread_are_claimed_one_by_one() {
    let mut stage = Stage::new().await;
    let thread = stage.thread(1).await;
    stage.messages(thread, 6).await;
    stage
        .db
        .execute("UPDATE notification_processing SET thread_id = NULL WHERE event_id <= 4")
        .await;
    let report = stage.db.run_in_batches(1).await;
    insta::assert_snapshot!(report.summary(), @"batches=5 events=6 notifications=2 merged=10");
    assert_eq!(stage.claims().await, [1, 2, 3, 4, 5, 5]);
    assert_eq!(stage.db.text(COUNTS).await, "6");
}

/// Applications sort by `created_at`: within a batch too it follows the events, of whatever kind.
#[tokio::test]
async fn notifications_are_created_in_the_order_of_their_events() {
    let mut stage = Stage::new().await;
    let [_, bo] = stage.readers;
    let mut events = Vec::new();
    for no in 0..4 {
        let thread = stage.thread(no).await;
        stage.world.message(thread).await;
        let meeting = stage.world.meeting(&format!("Meeting {no}"), [bo]).await;
        events.push(stage.world.updated(meeting).await);
        events.push(stage.world.message(thread).await);
    }
    assert_eq!(stage.db.run().await.batches, 1);
    let created = format!(
        "SELECT event_id FROM notifications WHERE user_id = '{bo}' ORDER BY created_at, random()"
    );
    let events: Vec<_> = events.iter().map(i64::to_string).collect();
    assert_eq!(stage.db.texts(&created).await, events);
}
