//! While a message is in flight.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{leases_end, until};
use crate::deliver::{Stage, counts_of, start};
use crate::harness::{TestDatabase, Worker};

const DISCONNECT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'notify-fan-out'";

/// Ten messages, of which a worker has sent four, and waits for the answers.
async fn four_of_ten() -> (Stage, Arc<Semaphore>, Worker) {
    let (stage, permits) = Stage::gated().await;
    let hook = stage.endpoint("webhook", "hook").await;
    stage.db.queue(hook, 10).await;
    let worker = start(&mut stage.bare());
    until("the messages", || stage.outside.count() == 4).await;
    (stage, permits, worker)
}

async fn statuses(db: &TestDatabase<'_>) -> Vec<String> {
    db.texts(
        "SELECT status || ' ' || count(*) FROM notification_deliveries GROUP BY status ORDER BY 1",
    )
    .await
}

/// A receiver that dawdles holds up nobody in the database; and a run that is asked to stop sees through
/// what it has begun, and begins nothing more.
#[tokio::test]
async fn no_transaction_is_open_and_an_end_is_orderly() {
    let (stage, permits, worker) = four_of_ten().await;
    let db = &stage.db;
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
    assert_eq!(counts_of(&report), "delivered=4");
    assert_eq!(report["stopped_early"], true);
    assert_eq!(stage.outside.count(), 4);
    assert_eq!(statuses(db).await, ["delivered 4", "pending 6"]);
}

/// What became of them is recorded on a new connection, and none is sent again.
#[tokio::test]
async fn a_connection_that_breaks_meanwhile_loses_nothing() {
    let (stage, permits, worker) = four_of_ten().await;
    stage.db.execute(DISCONNECT).await;
    permits.add_permits(10);
    let ended = worker.end().await;
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(counts_of(&ended.report()), "delivered=10");
    assert_eq!(stage.outside.count(), 10);
}

/// The database refuses to give out more while messages are in flight. The run fails, and what
/// became of these is recorded first.
#[tokio::test]
async fn a_failure_loses_nothing_that_is_in_flight() {
    let (stage, permits, worker) = four_of_ten().await;
    let mislay = "ALTER SEQUENCE notification_lease_token_seq RENAME TO mislaid";
    stage.db.execute(mislay).await;
    // The run fails with the first answer, and three are still awaited.
    permits.add_permits(1);
    let first = "EXISTS (SELECT FROM notification_deliveries WHERE status = 'delivered')";
    stage.db.until(first).await;
    permits.add_permits(9);
    let ended = worker.end().await;
    assert!(!ended.status.success(), "{ended:?}");
    assert_eq!(counts_of(&ended.report()), "delivered=4");
    assert_eq!(statuses(&stage.db).await, ["delivered 4", "pending 6"]);
    assert_eq!(stage.outside.count(), 4);
}

/// The server has committed what became of a message, and the sender does not receive that: whether its
/// connection is gone, or itself, nothing is left to do.
#[tokio::test]
async fn an_answer_of_the_database_that_never_arrives_repeats_nothing() {
    for is_killed in [false, true] {
        let stage = Stage::new().await;
        let db = &stage.db;
        let worker = stopped_in_its_commit(&stage).await;
        if is_killed {
            worker.kill();
            leases_end(db).await;
            assert_eq!(stage.deliver_bare().await, "");
        } else {
            db.execute(DISCONNECT).await;
            worker.signal("CONT");
            let ended = worker.end().await;
            assert!(ended.status.success(), "{ended:?}");
            assert_eq!(counts_of(&ended.report()), "delivered=1");
        }
        assert_eq!(stage.outside.count(), 1);
        let log = "SELECT outcome FROM notification_delivery_attempts";
        assert_eq!(db.texts(log).await, ["delivered"]);
    }
}

/// A sender that stopped while the server was committing what became of its message.
async fn stopped_in_its_commit(stage: &Stage) -> Worker {
    let db = &stage.db;
    let hook = stage.endpoint("webhook", "hook").await;
    db.queue(hook, 1).await;
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
    let worker = start(&mut stage.bare());
    db.until_waiting(1).await;
    worker.signal("STOP");
    hold.release().await;
    db.until("EXISTS (SELECT FROM notification_deliveries WHERE status = 'delivered')")
        .await;
    db.execute("DROP TRIGGER wait ON notification_deliveries")
        .await;
    worker
}
