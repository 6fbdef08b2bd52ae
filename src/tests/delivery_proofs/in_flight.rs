//! While a message is in flight.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{deliver, endpoint, leases_end, queue, until};
use crate::channels::receiver::{Receiver, Reply, status};
use crate::harness::{TestDatabase, Worker};

/// A receiver that dawdles holds up nobody in the database; and a run that is asked to stop sees through
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
    // Also while it stops: another session can lock the table at once.
    worker.signal("TERM");
    for _ in 0..20 {
        let alone = db.hold("LOCK TABLE notification_deliveries, notification_endpoints IN ACCESS EXCLUSIVE MODE NOWAIT");
        alone.await.release().await;
        assert_eq!(db.text(idle).await, "true");
    }

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

/// The connection to the database goes while messages are in flight: what became of them is
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

/// The same with nothing left to do but to look once more.
#[tokio::test]
async fn a_connection_that_breaks_in_the_end() {
    let db = TestDatabase::new().await;
    let (receiver, worker) = stopped_in_its_commit(&db).await;
    db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'notify-fan-out'")
        .await;
    worker.signal("CONT");
    let ended = worker.end().await;
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.report()["delivered"], 1);
    assert_once(&db, &receiver).await;
}

/// The sender is killed after the server has committed what became of messages, and before it receives
/// that: the next one has nothing to do.
#[tokio::test]
async fn an_answer_of_the_database_that_never_arrives() {
    let db = TestDatabase::new().await;
    let (receiver, worker) = stopped_in_its_commit(&db).await;
    worker.kill();
    leases_end(&db).await;
    let next = Worker::start(&mut deliver(&db)).end().await.report();
    assert_eq!(
        (&next["rescued"], &next["delivered"]),
        (&0.into(), &0.into())
    );
    assert_once(&db, &receiver).await;
}

/// A sender that stopped while the server was committing what became of its message.
async fn stopped_in_its_commit(db: &TestDatabase<'_>) -> (Receiver, Worker) {
    let receiver = Receiver::start(|_| status(204)).await;
    let hook = endpoint(db, "hook", "webhook", &receiver.base()).await;
    queue(db, hook, 1).await;
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
    let worker = Worker::start(&mut deliver(db));
    db.until_waiting(1).await;
    worker.signal("STOP");
    hold.release().await;
    db.until("EXISTS (SELECT FROM notification_deliveries WHERE status = 'delivered')")
        .await;
    db.execute("DROP TRIGGER wait ON notification_deliveries")
        .await;
    (receiver, worker)
}

async fn assert_once(db: &TestDatabase<'_>, receiver: &Receiver) {
    assert_eq!(receiver.count(), 1);
    let log = db
        .texts("SELECT outcome FROM notification_delivery_attempts")
        .await;
    assert_eq!(log, ["delivered"]);
}

/// The database refuses to give out more while messages are in flight. The run fails, and what
/// became of these is recorded first.
#[tokio::test]
async fn a_failure_loses_nothing_that_is_in_flight() {
    let db = TestDatabase::new().await;
    let permits = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&permits);
    let receiver =
        Receiver::start(move |_| Reply::Held(Arc::clone(&gate), Box::new(status(204)))).await;
    let hook = endpoint(&db, "hook", "webhook", &receiver.base()).await;
    queue(&db, hook, 10).await;
    let worker = Worker::start(&mut deliver(&db));
    until("the messages", || receiver.count() == 4).await;
    db.execute("ALTER SEQUENCE notification_lease_token_seq RENAME TO mislaid")
        .await;
    permits.add_permits(10);
    let ended = worker.end().await;
    assert!(!ended.status.success(), "{ended:?}");
    assert_eq!(ended.report()["delivered"], 4);
    let statuses =
        "SELECT status || ' ' || count(*) FROM notification_deliveries GROUP BY status ORDER BY 1";
    assert_eq!(db.texts(statuses).await, ["delivered 4", "pending 6"]);
    assert_eq!(receiver.count(), 4);
}
