//! The answer to a COMMIT is lost, whether it took place or not: what the run reports, its summary and
//! its metrics say what the tables hold.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::json;

use crate::harness::{TestDatabase, Worker, binary_at};

/// Something of everything that is counted: merged, mailed, sent to an endpoint, muted; refused for
/// good, and for now.
async fn stage() -> TestDatabase<'static> {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let [bo, cy] = world.users(["Bo", "Cy"]).await;
    let [_, atlas] = world.acme([bo]).await;
    let budget = world.thread("Budget", [bo, cy]).await;
    let mute = "global / project_access_granted / in_app = muted";
    world.prefers(cy, mute, None).await;
    db.endpoint("slack", "ops").await;
    for user in [bo, cy, bo] {
        world.message(budget).await;
        world.granted(user, atlas).await;
    }
    let alert = json!({"alert_id": "a", "user_id": bo});
    world.event("alert_triggered").payload(alert).await;
    let malformed = world.granted(bo, atlas);
    malformed.payload(json!({"affected_user_id": 7})).await;
    let [for_good, for_now] = [
        world.granted(bo, atlas).await,
        world.granted(bo, atlas).await,
    ];
    let answer = format!(
        "IF NEW.event_id = {for_good} THEN RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation'; END IF;
         IF NEW.event_id = {for_now} THEN RAISE EXCEPTION 'not now'; END IF"
    );
    db.answers("true", &answer).await;
    db
}

/// The connection breaks at the COMMIT of what settles events, so often before that takes place.
async fn refuse_commits(db: &TestDatabase<'_>, times: u32) {
    db.execute(format!(
        "CREATE SEQUENCE commits; GRANT USAGE ON SEQUENCE commits TO PUBLIC;
         CREATE FUNCTION fall() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
            IF nextval('commits') <= {times} THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
            RETURN NULL;
         END $$;
         CREATE CONSTRAINT TRIGGER fall AFTER UPDATE ON notification_processing
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
            WHEN (NEW.processing_status = 'completed') EXECUTE FUNCTION fall()"
    ))
    .await;
}

type Counts = BTreeMap<String, u64>;

/// Runs the job, and reads what its summary says. The metrics must say the same.
async fn run(db: &TestDatabase<'_>, lost: Option<RangeInclusive<u64>>) -> Counts {
    let (proxy, url) = db.behind_proxy();
    if let Some(lost) = lost {
        proxy.lose_commits(&lost);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let metrics = folder.path().join("job.prom");
    let mut command = binary_at(&url);
    command.env("NOTIFY_FANOUT_METRICS_FILE", &metrics);
    let ended = Worker::start(&mut command).end().await;
    assert!(
        [Some(0), Some(3)].contains(&ended.status.code()),
        "{ended:?}"
    );
    let line = ended.stdout.lines().last().expect("a summary");
    let counts = line.split(' ').filter_map(|word| word.split_once('='));
    let counts: Counts = counts
        .filter_map(|(name, count)| Some((name.to_owned(), count.parse().ok()?)))
        .collect();
    let metrics = std::fs::read_to_string(metrics).expect("metrics");
    for (metric, count) in [
        ("events_total{outcome=\"completed\"}", "events"),
        ("events_total{outcome=\"failed\"}", "failed"),
        ("events_total{outcome=\"retried\"}", "retried"),
        ("events_total{outcome=\"expired\"}", "expired"),
        ("event_latency_seconds_count", "events"),
        ("notifications_total", "notifications"),
        ("notifications_merged_total", "merged"),
        ("emails_total", "emails"),
        ("suppressed_total", "suppressed"),
        ("rescued_total", "rescued"),
    ] {
        let line = format!("notify_fan_out_{metric} {}", counts[count]);
        let is_there = metrics.lines().any(|found| found == line);
        assert!(is_there, "{line}: {metrics}");
    }
    counts
}

/// What the tables say of a run that began with none.
async fn assert_tables_say(db: &TestDatabase<'_>, counts: &Counts) {
    let row = db
        .text(
            "SELECT json_build_object(
                'events', count(*) FILTER (WHERE processing_status = 'completed'),
                'failed', count(*) FILTER (WHERE processing_status = 'failed'),
                'retried', count(*) FILTER (WHERE processing_status = 'pending' AND error_message IS NOT NULL),
                'notifications', (SELECT count(*) FROM notifications),
                'merged', (SELECT coalesce(sum(coalesce_count - 1), 0) FROM notifications),
                'emails', (SELECT count(*) FROM pending_emails),
                'deliveries', (SELECT count(*) FROM notification_deliveries))
               FROM notification_processing",
        )
        .await;
    let rows: Counts = serde_json::from_str(&row).expect("counts");
    for (name, rows) in rows {
        assert_eq!(counts[&name], rows, "{name}");
    }
}

#[tokio::test]
async fn lost_commit_of_what_settles_a_batch_is_counted_as_the_tables_say() {
    let db = stage().await;
    let undisturbed = run(&db.twin().await, None).await;
    let expected = [
        ("events", 7),
        ("failed", 2),
        ("retried", 1),
        ("merged", 4),
        ("deliveries", 1),
        ("suppressed", 1),
    ];
    assert_eq!(
        expected.map(|(name, _)| (name, undisturbed[name])),
        expected
    );
    // The claim; what settles it; the claim of what else is due; several in a row.
    for lost in [1..=1, 2..=2, 3..=3, 1..=2, 1..=9] {
        let twin = db.twin().await;
        let counts = run(&twin, Some(lost.clone())).await;
        assert_eq!(counts, undisturbed, "{lost:?}");
        assert_tables_say(&twin, &undisturbed).await;
    }
    // It did not take place.
    for (times, lost) in [(1, None), (3, None), (2, Some(1..=9))] {
        let twin = db.twin().await;
        refuse_commits(&twin, times).await;
        assert_eq!(run(&twin, lost).await, undisturbed, "{times} times");
        assert_tables_say(&twin, &undisturbed).await;
    }
}

/// A claim of one event, which is refused.
#[tokio::test]
async fn lost_commit_of_what_ends_a_refused_claim_is_counted_as_the_tables_say() {
    let db = stage().await;
    let others = "id <> (SELECT max(id) - 1 FROM domain_events)";
    db.execute(format!("DELETE FROM domain_events WHERE {others}"))
        .await;
    for lost in [2..=2, 1..=9] {
        let twin = db.twin().await;
        let counts = run(&twin, Some(lost)).await;
        assert_eq!((counts["failed"], counts["notifications"]), (1, 0));
        assert_tables_say(&twin, &counts).await;
    }
}

/// The run was asked to stop meanwhile: no other try follows.
#[tokio::test]
async fn lost_commit_of_a_stopped_run_is_counted_as_the_tables_say() {
    let db = stage().await;
    db.execute("DROP TRIGGER answer ON notifications").await;
    let undisturbed = run(&db.twin().await, None).await;
    let (proxy, url) = db.behind_proxy();
    proxy.lose_commits(&(2..=9));
    let hold = db.hold_at_commit("completed").await;
    let worker = Worker::start(binary_at(&url).args(["--format", "json"]));
    db.until_waiting(1).await;
    worker.signal("TERM");
    hold.release().await;
    let ended = worker.end().await;
    let report = ended.report();
    assert_eq!(report["stopped_early"], true, "{ended:?}");
    for name in "notifications merged emails deliveries suppressed".split(' ') {
        assert_eq!(report[name], undisturbed[name], "{name}: {ended:?}");
    }
    let counts = undisturbed
        .keys()
        .filter_map(|name| Some((name.clone(), report[name].as_u64()?)));
    assert_tables_say(&db, &counts.collect()).await;
}

/// An audience that is written apart, in parts.
#[tokio::test]
async fn lost_commit_of_a_large_audience_is_counted_as_the_tables_say() {
    let db = stage().await;
    let mut world = db.world().await;
    let people = world.people(10_001).await;
    let kickoff = world.meeting("Kick-off", &people).await;
    world.updated(kickoff).await;
    drop(world);
    let undisturbed = run(&db.twin().await, None).await;
    assert!(undisturbed["notifications"] > 10_001, "{undisturbed:?}");
    for lost in [4..=4, 1..=12] {
        let twin = db.twin().await;
        let counts = run(&twin, Some(lost.clone())).await;
        assert_eq!(counts, undisturbed, "{lost:?}");
        assert_tables_say(&twin, &undisturbed).await;
    }
}
