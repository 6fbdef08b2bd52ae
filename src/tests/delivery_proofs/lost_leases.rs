//! A sender that was taken for dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::{leases_end, until};
use crate::channels::receiver::{Reply, answer, status};
use crate::deliver::{Stage, counts_of, start};

const ROWS: &str = "SELECT to_jsonb(d) FROM notification_deliveries d
    UNION ALL SELECT to_jsonb(a) FROM notification_delivery_attempts a
    UNION ALL SELECT to_jsonb(t) FROM notification_delivery_targets t
    ORDER BY 1";

/// It stops for so long that another one takes its messages and sends them. When it goes on, it is
/// answered, and records nothing: whether that was a success, a request for a pause, or the end of the
/// endpoint.
#[tokio::test]
async fn a_late_result_changes_nothing() {
    let busy = answer(429, &[("retry-after", "600")], "");
    for late in [status(204), busy, status(410)] {
        let permits = Arc::new(Semaphore::new(0));
        let (gate, asked) = (Arc::clone(&permits), AtomicUsize::new(0));
        let stage = Stage::with(move |_| {
            if asked.fetch_add(1, Ordering::SeqCst) < 4 {
                Reply::Held(Arc::clone(&gate), Box::new(late.clone()))
            } else {
                status(204)
            }
        })
        .await;
        let (db, receiver) = (&stage.db, &stage.outside);
        let hook = stage.endpoint("webhook", "hook").await;
        db.queue(hook, 4).await;
        let first = start(&mut stage.bare());
        until("the messages", || receiver.count() == 4).await;
        first.signal("STOP");
        leases_end(db).await;
        assert_eq!(stage.deliver_bare().await, "delivered=4 rescued=4");
        let before = db.texts(ROWS).await;

        permits.add_permits(4);
        first.signal("CONT");
        let ended = first.end().await;
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(counts_of(&ended.report()), "lost_leases=4");
        assert_eq!(db.texts(ROWS).await, before);
        let log = "SELECT string_agg(outcome, ' ' ORDER BY id) FROM notification_delivery_attempts GROUP BY delivery_id";
        assert_eq!(db.texts(log).await, ["lost delivered"; 4]);
        // The receiver knows them again.
        let requests = receiver.requests().into_iter();
        let mut copies: Vec<_> = requests
            .map(|request| (request.headers["webhook-id"].clone(), request.body))
            .collect();
        copies.sort();
        assert!(copies.chunks(2).all(|pair| pair[0] == pair[1]));
    }
}
