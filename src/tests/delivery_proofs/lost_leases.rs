//! A sender that was taken for dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::{deliver, endpoint, leases_end, queue, until};
use crate::channels::receiver::{Receiver, Reply, answer, status};
use crate::harness::{TestDatabase, Worker};

const ROWS: &str = "SELECT to_jsonb(d) FROM notification_deliveries d
    UNION ALL SELECT to_jsonb(a) FROM notification_delivery_attempts a
    UNION ALL SELECT to_jsonb(t) FROM notification_delivery_targets t
    ORDER BY 1";

/// It stops for so long that another one takes its messages and sends them. When it goes on, it is
/// answered, and records nothing: whether that was good news or bad.
async fn out_of_breath(late: Reply, outcome: &'static str) {
    let db = TestDatabase::new().await;
    let permits = Arc::new(Semaphore::new(0));
    let (gate, asked) = (Arc::clone(&permits), AtomicUsize::new(0));
    let receiver = Receiver::start(move |_| {
        if asked.fetch_add(1, Ordering::SeqCst) < 4 {
            Reply::Held(Arc::clone(&gate), Box::new(late.clone()))
        } else {
            status(204)
        }
    })
    .await;
    let hook = endpoint(&db, "hook", "webhook", &receiver.base()).await;
    queue(&db, hook, 4).await;
    let first = Worker::start(&mut deliver(&db));
    until("the messages", || receiver.count() == 4).await;
    first.signal("STOP");
    leases_end(&db).await;
    let second = Worker::start(&mut deliver(&db)).end().await.report();
    assert_eq!(
        (&second["rescued"], &second["delivered"]),
        (&4.into(), &4.into())
    );
    let before = db.texts(ROWS).await;

    permits.add_permits(4);
    first.signal("CONT");
    let ended = first.end().await;
    assert!(ended.status.success(), "{outcome}: {ended:?}");
    let first = ended.report();
    assert_eq!(
        (
            &first["lost_leases"],
            &first["delivered"],
            &first["retried"]
        ),
        (&4.into(), &0.into(), &0.into()),
        "{outcome}"
    );
    assert_eq!(db.texts(ROWS).await, before, "{outcome}");
    let log = db
        .texts("SELECT string_agg(outcome, ' ' ORDER BY id) FROM notification_delivery_attempts GROUP BY delivery_id")
        .await;
    assert_eq!(log, ["lost delivered"; 4]);
    // The receiver knows them again.
    let mut keys: Vec<_> = receiver
        .requests()
        .into_iter()
        .map(|request| (request.headers["webhook-id"].clone(), request.body))
        .collect();
    keys.sort();
    let (again, once): (Vec<_>, Vec<_>) = (0..8).partition(|place| place % 2 == 0);
    assert!(again.iter().zip(&once).all(|(a, b)| keys[*a] == keys[*b]));
}

#[tokio::test]
async fn a_late_success_changes_nothing() {
    out_of_breath(status(204), "a success").await;
}

#[tokio::test]
async fn a_late_refusal_changes_nothing() {
    let busy = answer(429, &[("retry-after", "600")], "");
    out_of_breath(busy, "a pause").await;
    out_of_breath(status(410), "the end of the endpoint").await;
}
