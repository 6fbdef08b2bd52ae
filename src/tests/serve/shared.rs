//! Daemons and minute jobs side by side, stopped, killed and cut off at work.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::{ALL_DONE, ASLEEP, disarm, disconnect, serve, stopped};
use crate::exactly_once::{assert_same, stage, undisturbed};
use crate::harness::Worker;

#[tokio::test]
async fn daemons_and_minute_jobs_that_are_killed_lose_and_double_nothing() {
    let db = stage(2_000).await;
    let twin = undisturbed(&db).await;
    let short = [
        ("NOTIFY_FANOUT_STUCK_AFTER", "1s"),
        ("NOTIFY_FANOUT_BATCH_SIZE", "20"),
        ("NOTIFY_FANOUT_MAX_ATTEMPTS", "100"),
    ];
    let mut random = StdRng::seed_from_u64(rand::random());
    for _ in 0..15 {
        let daemons = [serve(&db, &short), serve(&db, &short)];
        let job = Worker::start(db.binary().arg("run").envs(short));
        let wait = random.random_range(10..250);
        // The instant at which they are killed is the point.
        tokio::time::sleep(Duration::from_millis(wait)).await;
        daemons.into_iter().for_each(Worker::kill);
        job.kill();
    }
    let last = serve(&db, &short);
    db.until(ALL_DONE).await;
    stopped(last).await;
    assert_same(&db, &twin).await;
}

#[tokio::test]
async fn stopped_under_load_it_finishes_what_is_in_hand() {
    let db = stage(3_000).await;
    let daemon = serve(&db, &[("NOTIFY_FANOUT_BATCH_SIZE", "50")]);
    db.until("(SELECT count(*) > 100 FROM notification_processing WHERE processing_status = 'completed')").await;
    stopped(daemon).await;
    assert_eq!(
        db.count("notification_processing WHERE processing_status = 'processing'")
            .await,
        0
    );
}

#[tokio::test]
async fn four_daemons_and_minute_jobs_share_three_thousand_events() {
    let db = stage(3_000).await;
    let twin = undisturbed(&db).await;
    let batches = [("NOTIFY_FANOUT_BATCH_SIZE", "25")];
    let daemons = [(); 4].map(|()| serve(&db, &batches));
    let job = || {
        let mut command = db.binary();
        Worker::start(command.args(["run", "--format", "json"]).envs(batches))
    };
    for jobs in [(); 3].map(|()| [job(), job()]) {
        for job in jobs {
            assert_eq!(job.ends(0).await.report()["lost_claims"], 0);
        }
    }
    db.until(ALL_DONE).await;
    for daemon in daemons {
        stopped(daemon).await;
    }
    assert_same(&db, &twin).await;
}

#[tokio::test]
async fn connections_that_are_cut_at_random_lose_and_double_nothing() {
    let db = stage(2_000).await;
    let twin = undisturbed(&db).await;
    let daemon = serve(
        &db,
        &[
            ("NOTIFY_FANOUT_STUCK_AFTER", "1s"),
            ("NOTIFY_FANOUT_BATCH_SIZE", "20"),
            ("NOTIFY_FANOUT_MAX_ATTEMPTS", "100"),
        ],
    );
    let mut random = StdRng::seed_from_u64(rand::random());
    for _ in 0..15 {
        // The instant at which they are cut is the point.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..300))).await;
        disconnect(&db).await;
    }
    // Events that met several cuts are suspected to be their cause, and wait for minutes.
    db.until("NOT EXISTS (SELECT FROM notification_processing
        WHERE processing_status = 'processing' OR processing_status = 'pending' AND next_attempt_at <= now())")
        .await;
    db.time_passes().await;
    db.until(ALL_DONE).await;
    stopped(daemon).await;
    assert_same(&db, &twin).await;
}

/// It is out of breath for so long that another one takes its events and writes them.
#[tokio::test]
async fn a_daemon_that_was_taken_for_dead_writes_nothing_and_goes_on() {
    let db = stage(200).await;
    let twin = undisturbed(&db).await;
    let impatient = [
        ("NOTIFY_FANOUT_STUCK_AFTER", "1s"),
        ("NOTIFY_FANOUT_WORKERS", "1"),
    ];
    let hold = db.hold_at_commit("processing").await;
    let first = serve(&db, &impatient);
    db.until_waiting(1).await;
    first.signal("STOP");
    hold.release().await;
    db.until("EXISTS (SELECT FROM notification_processing WHERE processing_status = 'processing')")
        .await;
    db.execute("DROP TRIGGER wait ON notification_processing")
        .await;
    let second = serve(&db, &impatient);
    db.until(ALL_DONE).await;
    stopped(second).await;
    disarm(&db).await;
    first.signal("CONT");
    db.until(ASLEEP).await;
    stopped(first).await;
    assert_same(&db, &twin).await;
}

#[tokio::test]
async fn the_first_signal_gives_what_is_in_hand_some_seconds_and_the_second_none() {
    for signals in [1, 2] {
        let db = stage(20).await;
        let hold = db.hold_notifications().await;
        let daemon = serve(&db, &[("NOTIFY_FANOUT_WORKERS", "1")]);
        db.until_waiting(1).await;
        daemon.signal("TERM");
        daemon.until_logged("stopping").await;
        if signals == 2 {
            daemon.signal("TERM");
            let ended = daemon.ends(143).await;
            assert!(!ended.stderr.contains("work in hand"), "{ended:?}");
        } else {
            let ended = daemon.ends(0).await;
            assert!(ended.stderr.contains("work in hand"), "{ended:?}");
        }
        hold.release().await;
        db.until_workers_are_gone().await;
        assert_eq!(db.count("notifications").await, 0);
        db.claims_grow_old().await;
        db.run().await;
        assert_eq!(db.standings().await, "completed=20");
    }
}
