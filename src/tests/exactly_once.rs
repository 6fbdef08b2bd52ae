//! Nothing is lost and nothing doubled, however many processes share the work and however they end.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::time::Duration;

use crate::harness::{TestDatabase, Worker};

/// A few hundred people and so many events of all kinds. Words don't differ from event to event
/// where they are merged, because workers may take turns.
pub(crate) async fn stage(events: i32) -> TestDatabase<'static> {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let people = world.people(120).await;
    let [acme, atlas] = world.acme(&people[..5]).await;
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
    db
}

/// The rows of an uninterrupted run by one worker.
pub(crate) async fn undisturbed(db: &TestDatabase<'static>) -> TestDatabase<'static> {
    let twin = db.twin().await;
    let report = twin.run().await;
    assert_eq!((report.failed, report.retried), (0, 0));
    assert!(report.merged > 0 && report.suppressed > 0 && report.emails > 0);
    twin
}

pub(crate) async fn assert_same(db: &TestDatabase<'_>, twin: &TestDatabase<'_>) {
    assert_eq!(db.standings().await, twin.standings().await);
    let (ours, theirs) = (db.notifications().await, twin.notifications().await);
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(db.emails().await, twin.emails().await);
    let once = "SELECT user_id || once_key FROM notification_once ORDER BY 1";
    assert_eq!(db.texts(once).await, twin.texts(once).await);
}

#[tokio::test]
async fn eight_processes_share_five_thousand_events() {
    let db = stage(5_000).await;
    let twin = undisturbed(&db).await;
    let arguments = ["--batch-size", "100", "--format", "json"];
    let workers = [(); 8].map(|()| Worker::start(db.binary().args(arguments)));
    let (mut events, mut busy) = (0, 0);
    for worker in workers {
        let report = worker.ends(0).await.report();
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

/// kill -9 at any instant, two processes at a time, dozens of times, and then a last run: the
/// rows are those of a run that nobody disturbed.
#[tokio::test]
async fn runs_killed_at_random_instants_lose_and_double_nothing() {
    let db = stage(2_000).await;
    let twin = undisturbed(&db).await;
    let mut random = StdRng::seed_from_u64(rand::random());
    let (mut kills_at_work, mut rounds) = (0, 0);
    let left = "notification_processing WHERE processing_status <> 'completed'";
    while db.count(left).await > 0 && rounds < 60 {
        rounds += 1;
        let workers = [(); 2].map(|()| {
            let mut command = db.binary();
            command.env("NOTIFY_FANOUT_MAX_ATTEMPTS", "100");
            Worker::start(command.args(["--batch-size", "40"]))
        });
        for worker in workers {
            tokio::time::sleep(Duration::from_millis(random.random_range(0..90))).await;
            worker.kill();
        }
        // What the dead had in hand is rolled back as soon as the server sees that they are gone.
        db.until_workers_are_gone().await;
        let claimed = "notification_processing WHERE processing_status = 'processing'";
        kills_at_work += u64::from(db.count(claimed).await > 0);
        db.claims_grow_old().await;
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
async fn worker_whose_claim_was_reset_writes_only_what_is_still_its_own() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let [ada, bo] = world.users(["Ada", "Bo"]).await;
    let budget = world.thread("Budget", [ada, bo]).await;
    let kickoff = world.meeting("Kick-off", [ada, bo]).await;
    for _ in 0..4 {
        world.message(budget).actor(ada).await;
        world.updated(kickoff).actor(ada).await;
    }
    let worker = db.stopped_after_its_claim().await;
    // Two are pending again, but not due; two belong to another; four are still its own.
    db.execute(
        "UPDATE notification_processing
            SET processing_status = 'pending', claim_token = NULL, next_attempt_at = now() + interval '1 h'
          WHERE event_id IN (1, 2);
         UPDATE notification_processing SET claim_token = nextval('notification_claim_token_seq')
          WHERE event_id IN (3, 4)",
    )
    .await;
    worker.signal("CONT");
    let ended = worker.ends(0).await;
    assert_eq!(
        ended.summary(),
        "events=4 notifications=3 merged=1 lost_claims=4"
    );
    let notified = "SELECT DISTINCT event_id FROM notifications ORDER BY 1";
    assert_eq!(db.texts(notified).await, ["6", "7", "8"]);
    let states = "SELECT processing_status FROM notification_processing ORDER BY event_id";
    assert_eq!(
        db.texts(states).await.join(" "),
        "pending pending processing processing completed completed completed completed"
    );
}

/// It is out of breath for so long that another one takes its events and writes them. When it goes on, it
/// writes nothing.
#[tokio::test]
async fn worker_that_was_taken_for_dead_writes_nothing() {
    let db = stage(200).await;
    let twin = undisturbed(&db).await;
    let worker = db.stopped_after_its_claim().await;
    let mut impatient = db.settings();
    impatient.stuck_after = Duration::from_millis(1);
    let second = db.run_with(&impatient).await;
    assert_eq!((second.events, second.rescued), (200, 200));
    worker.signal("CONT");
    assert_eq!(worker.ends(0).await.summary(), "lost_claims=200");
    assert_same(&db, &twin).await;
}

/// It breaks while a batch is being written: the batch is written on a new one, once.
#[tokio::test]
async fn connection_that_breaks_is_charged_to_nobody() {
    let db = stage(200).await;
    let twin = undisturbed(&db).await;
    let hold = db.hold_notifications().await;
    let (report, ()) = tokio::join!(db.run(), async {
        db.until_waiting(1).await;
        db.disconnect_workers().await;
        hold.release().await;
    });
    let counts = (report.events, report.lost_claims, report.retried);
    assert_eq!(counts, (200, 0, 0));
    assert_same(&db, &twin).await;
}
