//! Several processes on one queue.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::until;
use crate::channels::receiver::{Reply, Request, answer, status};
use crate::deliver::{Stage, counts, start};

const HOOKS: usize = 3;
const WORKERS: usize = 8;
/// Messages to one target at once, by one process.
const PER_TARGET: usize = 4;

/// All of them have as much in flight as they may; then the receiver answers.
#[tokio::test]
async fn eight_processes_share_a_queue() {
    let (stage, permits) = Stage::gated().await;
    let (db, receiver) = (&stage.db, &stage.outside);
    for hook in 0..HOOKS {
        let id = stage.endpoint("webhook", &format!("hook {hook}")).await;
        db.queue(id, 200).await;
    }
    let at_work = [(); WORKERS].map(|()| start(&mut stage.bare()));
    let in_flight = WORKERS * HOOKS * PER_TARGET;
    until("all that may be in flight", || {
        receiver.count() == in_flight
    })
    .await;
    let leases = "SELECT count(*) FROM notification_deliveries WHERE status = 'sending' GROUP BY leased_by, target";
    assert_eq!(
        db.texts(leases).await,
        vec![PER_TARGET.to_string(); WORKERS * HOOKS]
    );
    permits.add_permits(HOOKS * 200);
    let mut delivered = 0;
    for worker in at_work {
        let ended = worker.end().await;
        let report = ended.report();
        let of_one = report["delivered"].as_u64().expect("a number");
        assert!(of_one > 0, "{ended:?}");
        assert_eq!(
            crate::deliver::counts_of(&report),
            format!("delivered={of_one}")
        );
        delivered += of_one;
    }
    assert_eq!(delivered, 600);
    let requests = receiver.requests();
    let keys: BTreeSet<_> = requests
        .iter()
        .map(|one| &one.headers["webhook-id"])
        .collect();
    assert_eq!((requests.len(), keys.len()), (600, 600));
    for hook in 0..HOOKS {
        let most = receiver.most_at_once(&format!("/hook/{hook}"));
        assert_eq!(most, WORKERS * PER_TARGET);
    }
    let once = "notification_delivery_attempts WHERE outcome = 'delivered' AND attempt = 1";
    assert_eq!(db.count(once).await, 600);
    assert_eq!(db.count("notification_delivery_attempts").await, 600);
}

/// A room takes a message a second, however many send to it.
#[tokio::test]
async fn a_room_keeps_its_pace() {
    let stage = Stage::new().await;
    let room = stage.endpoint("slack", "room").await;
    stage.db.queue(room, 4).await;
    for worker in [(); 2].map(|()| start(&mut stage.bare())) {
        let ended = worker.end().await;
        assert!(ended.status.success(), "{ended:?}");
    }
    let requests = stage.outside.requests();
    for pair in requests.windows(2) {
        // Between the leases it is a whole second; the way to the room may differ.
        let gap = pair[1].at - pair[0].at;
        assert!(gap > Duration::from_millis(850), "{gap:?}");
        assert!(gap < Duration::from_secs(3), "{gap:?}");
    }
    let texts: BTreeSet<_> = requests.into_iter().map(|one| one.body).collect();
    assert_eq!(texts.len(), 4);
}

/// A room that nothing is sent to for want of room keeps its turn.
#[tokio::test]
async fn nobody_is_paced_for_nothing() {
    let stage = Stage::new().await;
    let hook = stage.endpoint("webhook", "hook").await;
    stage.db.queue(hook, 3).await;
    for room in 0..6 {
        let room = stage.endpoint("slack", &format!("room {room}")).await;
        stage.db.queue(room, 2).await;
    }
    counts(stage.bare().args(["--limit", "5"])).await;
    let sent = "SELECT target FROM notification_deliveries WHERE status = 'delivered' AND channel = 'slack' ORDER BY 1";
    let paced = "SELECT target FROM notification_delivery_targets ORDER BY 1";
    let sent = stage.db.texts(sent).await;
    assert_eq!(stage.db.texts(paced).await, sent);
    assert_eq!(sent.len(), 4);
}

/// Targets that are slow and have much before them keep nothing from the others, nor from mails that
/// were not even promoted when the run began.
#[tokio::test]
async fn slow_targets_hold_up_no_other() {
    let permits = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&permits);
    let stage = Stage::with(move |request| match request.path.as_str() {
        "/emails" => answer(200, &[], "{\"id\": \"1\"}"),
        "/other" => status(204),
        _ => Reply::Held(Arc::clone(&gate), Box::new(status(204))),
    })
    .await;
    let db = &stage.db;
    for slow in 0..10 {
        let slow = stage.endpoint("webhook", &format!("slow {slow}")).await;
        db.queue(slow, 20).await;
    }
    let other = stage.endpoint("webhook", "other").await;
    db.queue(other, 20).await;
    let mut world = db.world().await;
    let ada = world.user("Ada").await;
    let event = world.event("meeting_updated").await;
    db.queued_mail(event, ada, "pending", None).await;
    let worker = start(&mut stage.command());
    db.until("(SELECT count(*) FROM notification_deliveries WHERE status = 'delivered') = 21")
        .await;
    let done = "SELECT string_agg(DISTINCT channel || ' ' || target, ', ') FROM notification_deliveries WHERE status = 'delivered'";
    let expected = format!("email email, webhook endpoint:{other}");
    assert_eq!(db.text(done).await, expected);
    permits.add_permits(10 * 20);
    let ended = worker.end().await;
    assert_eq!(ended.report()["delivered"], 221, "{ended:?}");
}

/// A worker that is throttled pauses the target for all others, by the table.
#[tokio::test]
async fn a_target_that_throttles_is_paused_for_all() {
    let asked = AtomicUsize::new(0);
    let stage = Stage::with(move |request| {
        if request.path == "/busy" && asked.fetch_add(1, Ordering::SeqCst) == 0 {
            answer(429, &[("retry-after", "2")], "")
        } else {
            status(204)
        }
    })
    .await;
    let (db, receiver) = (&stage.db, &stage.outside);
    let busy = stage.endpoint("webhook", "busy").await;
    let other = stage.endpoint("webhook", "other").await;
    db.queue(busy, 40).await;
    db.queue(other, 40).await;
    let workers = [(); 3].map(|()| {
        let mut command = stage.bare();
        start(command.args(["--per-target", "1", "--concurrency", "2"]))
    });
    let paused = format!(
        "EXISTS (SELECT FROM notification_delivery_targets WHERE target = 'endpoint:{busy}' AND paused_until > now())"
    );
    db.until(&paused).await;
    // What others had in flight at that moment arrives, one each at most; then nothing does.
    db.until(&format!("NOT EXISTS (SELECT FROM notification_deliveries WHERE endpoint_id = '{busy}' AND status = 'sending')"))
        .await;
    let is_to_busy = |request: &&Request| request.path == "/busy";
    let until_then = receiver.requests();
    db.until(&format!("NOT {paused}")).await;
    let since_then = receiver.requests().split_off(until_then.len());
    let first = until_then.iter().find(is_to_busy).expect("a request").at;
    for request in since_then.iter().filter(is_to_busy) {
        let after = request.at - first;
        assert!(after > Duration::from_millis(1_950), "{after:?}");
    }
    for worker in workers {
        let ended = worker.end().await;
        assert!(ended.status.success(), "{ended:?}");
    }
    // The one that was refused came again. Nothing else did, and the other target was not waited for.
    let requests = receiver.requests();
    assert_eq!(requests.iter().filter(is_to_busy).count(), 41);
    assert_eq!(requests.len(), 81);
    let delivered = "notification_deliveries WHERE status = 'delivered'";
    assert_eq!(db.count(delivered).await, 80);
    let refused = "SELECT concat_ws(' ', attempt, outcome, status) FROM notification_delivery_attempts WHERE outcome <> 'delivered'";
    assert_eq!(db.texts(refused).await, ["1 retry 429"]);
}
