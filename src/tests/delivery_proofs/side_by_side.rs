//! Several processes on one queue.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{deliver, endpoint, queue, until};
use crate::channels::receiver::{Receiver, Reply, answer, status};
use crate::harness::{TestDatabase, Worker};

const HOOKS: usize = 3;
/// Messages to one target at once, by one process.
const PER_TARGET: usize = 4;

/// All of them have as much in flight as they may; then the receiver answers.
async fn shared_among(workers: usize) {
    let db = TestDatabase::new().await;
    let permits = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&permits);
    let receiver =
        Receiver::start(move |_| Reply::Held(Arc::clone(&gate), Box::new(status(204)))).await;
    for hook in 0..HOOKS {
        let url = format!("{}hook/{hook}", receiver.base());
        let id = endpoint(&db, &format!("hook {hook}"), "webhook", &url).await;
        queue(&db, id, 200).await;
    }
    let at_work: Vec<_> = (0..workers)
        .map(|_| Worker::start(&mut deliver(&db)))
        .collect();
    let in_flight = workers * HOOKS * PER_TARGET;
    until("all that may be in flight", || {
        receiver.count() == in_flight
    })
    .await;
    let leases = db
        .texts("SELECT count(*) FROM notification_deliveries WHERE status = 'sending' GROUP BY leased_by, target")
        .await;
    assert_eq!(leases, vec![PER_TARGET.to_string(); workers * HOOKS]);

    permits.add_permits(HOOKS * 200);
    let (mut delivered, mut busy) = (0, 0);
    for worker in at_work {
        let ended = worker.end().await;
        assert!(ended.status.success(), "{ended:?}");
        let report = ended.report();
        let of_one = report["delivered"].as_u64().expect("a number");
        delivered += of_one;
        busy += usize::from(of_one > 0);
        let none = [
            "retried",
            "dead",
            "uncertain",
            "cancelled",
            "rescued",
            "lost_leases",
        ];
        assert_eq!(none.map(|count| report[count].clone()), [0; 6]);
    }
    assert_eq!((delivered, busy), (600, workers));
    let requests = receiver.requests();
    let keys: BTreeSet<_> = requests
        .iter()
        .map(|one| &one.headers["webhook-id"])
        .collect();
    assert_eq!((requests.len(), keys.len()), (600, 600));
    for hook in 0..HOOKS {
        assert_eq!(
            receiver.most_at_once(&format!("/hook/{hook}")),
            workers * PER_TARGET
        );
    }
    let once = "notification_delivery_attempts WHERE outcome = 'delivered' AND attempt = 1";
    assert_eq!(db.count(once).await, 600);
    assert_eq!(db.count("notification_delivery_attempts").await, 600);
}

#[tokio::test]
async fn two_processes_share_a_queue() {
    shared_among(2).await;
}

#[tokio::test]
async fn eight_processes_share_a_queue() {
    shared_among(8).await;
}

/// A room takes a message a second, however many send to it.
#[tokio::test]
async fn a_room_keeps_its_pace() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|_| answer(200, &[], "ok")).await;
    let room = endpoint(&db, "room", "slack", &format!("{}room", receiver.base())).await;
    queue(&db, room, 4).await;
    let workers = [(); 2].map(|()| Worker::start(&mut deliver(&db)));
    for worker in workers {
        let ended = worker.end().await;
        assert!(ended.status.success(), "{ended:?}");
    }
    let times: Vec<_> = receiver.requests().iter().map(|one| one.at).collect();
    assert_eq!(times.len(), 4);
    for pair in times.windows(2) {
        // Between the leases it is a whole second; the way to the room may differ.
        let gap = pair[1] - pair[0];
        assert!(gap > Duration::from_millis(850), "{gap:?}");
        assert!(gap < Duration::from_secs(3), "{gap:?}");
    }
    let texts: BTreeSet<_> = receiver
        .requests()
        .into_iter()
        .map(|one| one.body)
        .collect();
    assert_eq!(texts.len(), 4);
}

/// A room that nothing is sent to for want of room keeps its turn.
#[tokio::test]
async fn nobody_is_paced_for_nothing() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|_| answer(200, &[], "ok")).await;
    let base = receiver.base();
    let hook = endpoint(&db, "hook", "webhook", &format!("{base}hook")).await;
    queue(&db, hook, 3).await;
    for room in 0..6 {
        let url = format!("{base}room/{room}");
        let room = endpoint(&db, &format!("room {room}"), "slack", &url).await;
        queue(&db, room, 2).await;
    }
    let mut command = deliver(&db);
    let ended = Worker::start(command.args(["--limit", "5"])).end().await;
    assert!(ended.status.success(), "{ended:?}");
    let sent = "SELECT target FROM notification_deliveries WHERE status = 'delivered' AND channel = 'slack' ORDER BY 1";
    let paced = "SELECT target FROM notification_delivery_targets ORDER BY 1";
    let sent = db.texts(sent).await;
    assert_eq!(db.texts(paced).await, sent);
    assert_eq!(sent.len(), 4);
}

/// Targets that are slow and have much before them keep nothing from the others, nor from mails that
/// were not even promoted when the run began.
#[tokio::test]
async fn the_slow_are_in_nobodys_way() {
    let db = TestDatabase::new().await;
    let permits = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&permits);
    let receiver = Receiver::start(move |request| match request.path.as_str() {
        "/emails" => answer(200, &[], "{\"id\": \"1\"}"),
        "/other" => status(204),
        _ => Reply::Held(Arc::clone(&gate), Box::new(status(204))),
    })
    .await;
    let base = receiver.base();
    for slow in 0..10 {
        let url = format!("{base}slow/{slow}");
        let slow = endpoint(&db, &format!("slow {slow}"), "webhook", &url).await;
        queue(&db, slow, 20).await;
    }
    let other = endpoint(&db, "other", "webhook", &format!("{base}other")).await;
    queue(&db, other, 20).await;
    let mut world = db.world().await;
    world.user("Ada").await;
    world
        .execute(
            "INSERT INTO domain_events (id, event_type) VALUES (1, 'old');
             INSERT INTO pending_emails (user_id, event_id, event_type, delivery_type, subject)
             SELECT id, 1, 'meeting_updated', 'immediate', 'Moved' FROM profiles",
        )
        .await;
    let mut command = deliver(&db);
    command
        .env("NOTIFICATIONS_RESEND_API_KEY", "re_123")
        .env("NOTIFY_RESEND_BASE_URL", &base)
        .env("NOTIFICATIONS_EMAIL_FROM", "Acme <notify@example.com>")
        .env("APP_BASE_URL", "https://app.example.com");
    let worker = Worker::start(&mut command);
    let done = "SELECT string_agg(DISTINCT channel || ' ' || target, ', ') FROM notification_deliveries WHERE status = 'delivered'";
    db.until("(SELECT count(*) FROM notification_deliveries WHERE status = 'delivered') = 21")
        .await;
    assert_eq!(
        db.text(done).await,
        format!("email email, webhook endpoint:{other}")
    );
    permits.add_permits(10 * 20);
    let ended = worker.end().await;
    assert_eq!(ended.report()["delivered"], 221, "{ended:?}");
}

/// A worker that is throttled pauses the target for all others, by the table.
#[tokio::test]
async fn a_target_that_throttles_is_paused_for_all() {
    let db = TestDatabase::new().await;
    let asked = AtomicUsize::new(0);
    let receiver = Receiver::start(move |request| {
        let is_first = request.path == "/busy" && asked.fetch_add(1, Ordering::SeqCst) == 0;
        if is_first {
            answer(429, &[("retry-after", "2")], "")
        } else {
            status(204)
        }
    })
    .await;
    let base = receiver.base();
    let busy = endpoint(&db, "busy", "webhook", &format!("{base}busy")).await;
    let other = endpoint(&db, "other", "webhook", &format!("{base}other")).await;
    queue(&db, busy, 40).await;
    queue(&db, other, 40).await;
    let workers = [(); 3].map(|()| {
        let mut command = deliver(&db);
        Worker::start(command.args(["--per-target", "1", "--concurrency", "2"]))
    });
    let paused = format!(
        "EXISTS (SELECT FROM notification_delivery_targets WHERE target = 'endpoint:{busy}' AND paused_until > now())"
    );
    db.until(&paused).await;
    // What others had in flight at that moment arrives, one each at most; then nothing does.
    db.until(&format!("NOT EXISTS (SELECT FROM notification_deliveries WHERE endpoint_id = '{busy}' AND status = 'sending')"))
        .await;
    let until_then = receiver.requests();
    db.until(&format!("NOT {paused}")).await;
    let since_then = receiver.requests().split_off(until_then.len());
    let to_busy = |requests: &[crate::channels::receiver::Request]| {
        requests.iter().filter(|one| one.path == "/busy").count()
    };
    let first = until_then
        .iter()
        .find(|one| one.path == "/busy")
        .expect("a request")
        .at;
    for request in &since_then {
        let after = request.at - first;
        assert!(
            request.path != "/busy" || after > Duration::from_millis(1_950),
            "{after:?}"
        );
    }
    for worker in workers {
        let ended = worker.end().await;
        assert!(ended.status.success(), "{ended:?}");
    }
    // The one that was refused came again. Nothing else did, and the other target was not waited for.
    assert_eq!(to_busy(&receiver.requests()), 41);
    assert_eq!(receiver.count(), 81);
    assert_eq!(
        db.count("notification_deliveries WHERE status = 'delivered'")
            .await,
        80
    );
    let refused = db
        .texts("SELECT concat_ws(' ', attempt, outcome, status) FROM notification_delivery_attempts WHERE outcome <> 'delivered'")
        .await;
    assert_eq!(refused, ["1 retry 429"]);
}
