//! Nothing is lost and nothing doubled, however many processes share the work and however they end.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::time::Duration;

use crate::harness::{TestDatabase, Worker, World};

/// A few hundred people and so many events of all kinds. Words don't differ from event to event
/// where they are merged, because workers may take turns.
async fn stage(events: i32) -> TestDatabase<'static> {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    populate(&mut world, events).await;
    db
}

async fn populate(world: &mut World, events: i32) {
    let people = world.people(120).await;
    let acme = world.org("Acme", &people[..5]).await;
    let atlas = world.project("Atlas", acme).await;
    world.grant(atlas, &people[10..20]).await;
    let report = world.document("Report", acme, atlas).await;
    world.permission(report, people[12], "none").await;
    for (no, participants) in people[20..].chunks(10).enumerate() {
        let thread = world.thread(&format!("Thread {no}"), participants).await;
        world
            .prefers(participants[0], "thread / * / * = muted", Some(thread))
            .await;
        world.meeting(&format!("Meeting {no}"), participants).await;
    }
    world
        .execute(format!(
            "WITH person AS (SELECT row_number() OVER (ORDER BY id) AS no, id FROM profiles),
                  thread AS (SELECT row_number() OVER (ORDER BY id) AS no, id FROM chat_threads),
                  meeting AS (SELECT row_number() OVER (ORDER BY id) AS no, id FROM meetings)
             INSERT INTO domain_events
                (event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload)
             SELECT CASE n % 10 WHEN 0 THEN 'document_uploaded' WHEN 1 THEN 'meeting_updated'
                        WHEN 2 THEN 'project_access_granted' WHEN 3 THEN 'resume_incomplete_nudge'
                        WHEN 4 THEN 'thread_unread_stale' WHEN 5 THEN 'invite_accepted'
                        WHEN 6 THEN 'meeting_reminder' ELSE 'chat_message_sent' END,
                    CASE WHEN n % 10 IN (1, 5) THEN person.id END, '{atlas}', '{acme}',
                    CASE WHEN n % 20 = 0 THEN '{report}'::uuid END, thread.id, meeting.id,
                    jsonb_build_object('user_id', person.id, 'affected_user_id', person.id, 'preview', 'Hi',
                        'resume_type', 'project', 'completion_percent', 50, 'nudge_tier', n % 50)
               FROM generate_series(1, {events}) AS n
               JOIN person ON person.no = 1 + n % 120
               JOIN thread ON thread.no = 1 + n % 10
               JOIN meeting ON meeting.no = 1 + n % 10"
        ))
        .await;
}

/// The rows of an uninterrupted run by one worker.
async fn undisturbed(db: &TestDatabase<'static>) -> TestDatabase<'static> {
    let twin = db.twin().await;
    let report = twin.run().await;
    assert_eq!(
        twin.statuses().await.into_keys().collect::<Vec<_>>(),
        ["completed"]
    );
    assert!(report.merged > 0 && report.suppressed > 0 && report.emails > 0);
    twin
}

async fn assert_same(db: &TestDatabase<'_>, twin: &TestDatabase<'_>) {
    assert_eq!(db.statuses().await, twin.statuses().await);
    let (ours, theirs) = (db.notifications().await, twin.notifications().await);
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(db.emails().await, twin.emails().await);
    let once = "SELECT user_id || once_key FROM notification_once ORDER BY 1";
    assert_eq!(db.texts(once).await, twin.texts(once).await);
}

async fn shared_among(workers: usize) {
    let db = stage(5_000).await;
    let twin = undisturbed(&db).await;
    let arguments = ["--batch-size", "100", "--format", "json"];
    let workers: Vec<_> = (0..workers)
        .map(|_| Worker::start(db.binary().args(arguments)))
        .collect();
    let (mut events, mut busy) = (0, 0);
    for worker in workers {
        let ended = worker.end().await;
        assert!(ended.status.success(), "{ended:?}");
        let report = ended.report();
        let of_one = report["events"].as_u64().expect("a number");
        events += of_one;
        busy += u64::from(of_one > 0);
        assert_eq!(
            (&report["retried"], &report["lost_claims"]),
            (&0.into(), &0.into())
        );
    }
    assert_eq!(events, 5_000);
    assert!(busy > 1, "one did it all");
    assert_same(&db, &twin).await;
}

#[tokio::test]
async fn two_processes_share_five_thousand_events() {
    shared_among(2).await;
}

#[tokio::test]
async fn eight_processes_share_five_thousand_events() {
    shared_among(8).await;
}

/// kill -9 at any instant, two processes at a time, dozens of times, and then a last run: the
/// rows are those of a run that nobody disturbed.
#[tokio::test]
async fn killed_at_random_instants() {
    let db = stage(2_000).await;
    let twin = undisturbed(&db).await;
    let mut random = StdRng::seed_from_u64(rand::random());
    let (mut kills_at_work, mut rounds) = (0, 0);
    while db
        .count("notification_processing WHERE processing_status <> 'completed'")
        .await
        > 0
        && rounds < 60
    {
        rounds += 1;
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let mut command = db.binary();
                command
                    .env("NOTIFY_FANOUT_MAX_ATTEMPTS", "100")
                    .args(["--batch-size", "40"]);
                Worker::start(&mut command)
            })
            .collect();
        for worker in workers {
            tokio::time::sleep(Duration::from_millis(random.random_range(0..90))).await;
            worker.kill();
        }
        // What the dead had in hand is rolled back as soon as the server sees that they are gone.
        db.until("NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'notify-fan-out')")
            .await;
        // Time passes: what they had claimed is stuck.
        let stuck = "UPDATE notification_processing SET claimed_at = claimed_at - interval '1 h' WHERE processing_status = 'processing'";
        kills_at_work += u64::from(
            db.count("notification_processing WHERE processing_status = 'processing'")
                .await
                > 0,
        );
        db.execute(stuck).await;
    }
    assert!(
        kills_at_work > 3,
        "{kills_at_work} of {rounds} were killed at work"
    );
    let mut settings = db.settings();
    settings.max_attempts = 100;
    db.run_with(&settings).await;
    assert_same(&db, &twin).await;
}

/// A claim that is reset while its worker lives: the worker writes nothing for it, and the rest of
/// its batch as ever.
#[tokio::test]
async fn a_claim_reset_under_a_live_worker() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let [ada, bo] = world.users(["Ada", "Bo"]).await;
    let budget = world.thread("Budget", [ada, bo]).await;
    let kickoff = world.meeting("Kick-off", [ada, bo]).await;
    let mut events = Vec::new();
    for _ in 0..4 {
        events.push(
            world
                .event("chat_message_sent")
                .actor(ada)
                .thread(budget)
                .await,
        );
        events.push(
            world
                .event("meeting_updated")
                .actor(ada)
                .meeting(kickoff)
                .await,
        );
    }
    let worker = db.stopped_after_its_claim().await;
    // Two are pending again, but not due; two belong to another; four are still its own.
    db.execute(format!(
        "UPDATE notification_processing
            SET processing_status = 'pending', claim_token = NULL, next_attempt_at = now() + interval '1 h'
          WHERE event_id IN ({}, {});
         UPDATE notification_processing SET claim_token = nextval('notification_claim_token_seq')
          WHERE event_id IN ({}, {})",
        events[0], events[1], events[2], events[3],
    ))
    .await;
    worker.signal("CONT");
    let report = worker.end().await.report();
    let counts =
        ["lost_claims", "events", "notifications", "merged"].map(|count| report[count].clone());
    assert_eq!(counts, [4, 4, 3, 1]);
    let notified = db
        .texts("SELECT DISTINCT event_id FROM notifications ORDER BY 1")
        .await;
    assert_eq!(
        notified,
        [events[5], events[6], events[7]].map(|event| event.to_string())
    );
    let states = db
        .texts("SELECT processing_status FROM notification_processing ORDER BY event_id")
        .await;
    assert_eq!(
        states.join(" "),
        "pending pending processing processing completed completed completed completed"
    );
}

/// A worker is out of breath for so long that another one takes its events and tells of them. When
/// it goes on, it writes nothing.
#[tokio::test]
async fn a_worker_that_was_taken_for_dead() {
    let db = stage(200).await;
    let twin = undisturbed(&db).await;
    let worker = db.stopped_after_its_claim().await;
    let mut impatient = db.settings();
    impatient.stuck_after = Duration::from_millis(1);
    let second = db.run_with(&impatient).await;
    assert_eq!((second.events, second.rescued), (200, 200));
    worker.signal("CONT");
    let ended = worker.end().await;
    assert!(ended.status.success(), "{ended:?}");
    let first = ended.report();
    assert_eq!(
        (&first["events"], &first["lost_claims"]),
        (&0.into(), &200.into())
    );
    assert_same(&db, &twin).await;
}

/// The connection breaks while a batch is being written: it is written on a new one, once.
#[tokio::test]
async fn a_connection_that_breaks() {
    let db = stage(200).await;
    let twin = undisturbed(&db).await;
    let hold = db.hold("LOCK TABLE notifications IN SHARE MODE").await;
    let (report, ()) = tokio::join!(db.run(), async {
        db.until_waiting(1).await;
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'notify-fan-out'")
            .await;
        hold.release().await;
    });
    assert_eq!(
        (report.events, report.lost_claims, report.retried),
        (200, 0, 0)
    );
    assert_same(&db, &twin).await;
}

/// The connection breaks after the server has committed and before the worker receives the answer: only
/// the fence knows.
#[tokio::test]
async fn an_answer_that_is_lost() {
    let db = stage(50).await;
    let twin = undisturbed(&db).await;
    // At the end of the first write's transaction, after everything else in it, the trigger
    // waits; what follows is the commit itself.
    db.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER wait AFTER UPDATE ON notification_processing
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
            WHEN (NEW.processing_status = 'completed') EXECUTE FUNCTION wait()",
    )
    .await;
    let hold = db.hold("SELECT pg_advisory_xact_lock(1)").await;
    let worker = Worker::start(db.binary().args(["--batch-size", "50"]));
    db.until_waiting(1).await;
    // Stopped, it can't receive the answer; killed, it never will.
    worker.signal("STOP");
    hold.release().await;
    db.until(
        "(SELECT count(*) FROM notification_processing WHERE processing_status = 'completed') = 50",
    )
    .await;
    worker.kill();
    let mut impatient = db.settings();
    impatient.stuck_after = Duration::from_millis(1);
    assert!(db.run_with(&impatient).await.is_idle());
    assert_same(&db, &twin).await;
}
