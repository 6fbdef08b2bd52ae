//! While a message is on its way.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{deliver, endpoint, queue, until};
use crate::channels::receiver::{Receiver, Reply, status};
use crate::harness::{TestDatabase, Worker};

/// A receiver that dawdles holds up nobody in the database; and whoever is told to end sees through
/// what it has begun, and begins nothing more.
#[tokio::test]
async fn no_transaction_is_open_and_an_end_is_orderly() {
    let db = TestDatabase::new().await;
    let permits = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&permits);
    let receiver =
        Receiver::start(move |_| Reply::Held(Arc::clone(&gate), Box::new(status(204)))).await;
    let hook = endpoint(&db, "hook", "webhook", &receiver.base()).await;
    queue(&db, hook, 10).await;
    let worker = Worker::start(&mut deliver(&db));
    until("the messages", || receiver.count() == 4).await;
    let idle = "SELECT count(*) = 1 AND bool_and(state = 'idle' AND xact_start IS NULL AND backend_xmin IS NULL)
                  FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'notify-fan-out'";
    db.until(idle).await;
    // It stays so: whoever wants the table for itself has it at once.
    for _ in 0..20 {
        let alone = db.hold("LOCK TABLE notification_deliveries, notification_endpoints IN ACCESS EXCLUSIVE MODE NOWAIT");
        alone.await.release().await;
        assert_eq!(db.text(idle).await, "true");
    }

    worker.signal("TERM");
    permits.add_permits(10);
    let ended = worker.end().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let report = ended.report();
    assert_eq!(
        (&report["delivered"], &report["stopped_early"]),
        (&4.into(), &true.into())
    );
    assert_eq!(receiver.count(), 4);
    let statuses =
        "SELECT status || ' ' || count(*) FROM notification_deliveries GROUP BY status ORDER BY 1";
    assert_eq!(db.texts(statuses).await, ["delivered 4", "pending 6"]);
}

/// The connection to the database goes while messages are on their way: what became of them is
/// recorded on a new one, and none is sent again.
#[tokio::test]
async fn a_connection_that_breaks_meanwhile() {
    let db = TestDatabase::new().await;
    let permits = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&permits);
    let receiver =
        Receiver::start(move |_| Reply::Held(Arc::clone(&gate), Box::new(status(204)))).await;
    let hook = endpoint(&db, "hook", "webhook", &receiver.base()).await;
    queue(&db, hook, 10).await;
    let worker = Worker::start(&mut deliver(&db));
    until("the messages", || receiver.count() == 4).await;
    db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'notify-fan-out'")
        .await;
    permits.add_permits(10);
    let ended = worker.end().await;
    assert!(ended.status.success(), "{ended:?}");
    let report = ended.report();
    assert_eq!(
        (&report["delivered"], &report["lost_leases"]),
        (&10.into(), &0.into())
    );
    assert_eq!(receiver.count(), 10);
}

/// The connection goes after the server has committed what became of messages, and before the sender
/// hears of it: only the fence knows. Nothing is sent or recorded twice.
#[tokio::test]
async fn an_answer_of_the_database_that_is_lost() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|_| status(204)).await;
    let hook = endpoint(&db, "hook", "webhook", &receiver.base()).await;
    queue(&db, hook, 4).await;
    // At the end of the recording transaction the trigger waits; what follows is the commit itself.
    db.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER wait AFTER UPDATE ON notification_deliveries
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
            WHEN (NEW.status = 'delivered') EXECUTE FUNCTION wait()",
    )
    .await;
    let hold = db.hold("SELECT pg_advisory_xact_lock(1)").await;
    let worker = Worker::start(&mut deliver(&db));
    db.until_waiting(1).await;
    worker.signal("STOP");
    hold.release().await;
    db.until("EXISTS (SELECT FROM notification_deliveries WHERE status = 'delivered')")
        .await;
    db.execute("DROP TRIGGER wait ON notification_deliveries")
        .await;
    db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'notify-fan-out'")
        .await;
    worker.signal("CONT");
    let ended = worker.end().await;
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(receiver.count(), 4);
    let log = db
        .texts("SELECT string_agg(outcome, ' ') FROM notification_delivery_attempts GROUP BY delivery_id")
        .await;
    assert_eq!(log, ["delivered"; 4]);
}
