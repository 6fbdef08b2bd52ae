//! What was sent and can't be recorded with the others.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{Stage, counts, immediate, taken};
use crate::channels::receiver::Reply;
use crate::harness::Worker;

/// How many copies of each mail were sent.
fn copies(stage: &Stage) -> Vec<String> {
    stage.mails()
}

#[tokio::test]
async fn a_mail_that_may_not_be_sent_is_in_nobodys_way() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    for subject in ["a", "b", "refused", "c"] {
        stage.queue(immediate(bo, subject)).await;
    }
    stage
        .db
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE 'not this one'; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE ON pending_emails FOR EACH ROW
                WHEN (NEW.subject = 'refused' AND NEW.status = 'sent') EXECUTE FUNCTION refuse()",
        )
        .await;
    let ended = Worker::start(stage.command().args(["--format", "json"]))
        .end()
        .await;
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(counts(&ended.report()), "delivered=4 mails=4");
    assert!(
        ended
            .stderr
            .contains("stays 'processing', although its delivery is recorded"),
        "{}",
        ended.stderr
    );
    for _ in 0..2 {
        stage
            .db
            .execute("UPDATE notification_deliveries SET lease_until = now() - interval '1 s' WHERE status = 'sending'")
            .await;
        assert_eq!(counts(&stage.deliver().await), "");
    }
    assert_eq!(
        copies(&stage),
        ["a", "b", "c", "refused"].map(|subject| format!("Bo <bo@example.com>: {subject}"))
    );
    assert_eq!(
        stage.queue_states().await,
        ["a: sent", "b: sent", "refused: processing", "c: sent"]
    );
}

#[tokio::test]
async fn a_locked_row_is_in_nobodys_way() {
    let gate = Arc::new(Semaphore::new(0));
    let permits = Arc::clone(&gate);
    let stage = Stage::with(move |_| Reply::Held(Arc::clone(&permits), Box::new(taken()))).await;
    let bo = stage.db.world().await.user("Bo").await;
    for subject in ["a", "b", "locked mail", "locked delivery"] {
        stage.queue(immediate(bo, subject)).await;
    }
    let worker = Worker::start(stage.command().args(["--format", "json"]));
    stage
        .db
        .until("(SELECT count(*) = 4 FROM notification_deliveries WHERE status = 'sending')")
        .await;
    let lock = stage
        .db
        .hold(
            "SELECT FROM pending_emails WHERE subject = 'locked mail' FOR UPDATE;
             SELECT FROM notification_deliveries WHERE id = (
                SELECT delivery_id FROM pending_emails WHERE subject = 'locked delivery') FOR UPDATE",
        )
        .await;
    gate.add_permits(4);
    // The neighbours, and the delivery whose mail is locked, while the locks are held.
    stage
        .db
        .until("(SELECT count(*) = 3 FROM notification_deliveries WHERE status = 'delivered')")
        .await;
    stage
        .db
        .until("(SELECT count(*) = 2 FROM pending_emails WHERE status = 'sent')")
        .await;
    lock.release().await;
    let ended = worker.end().await;
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(counts(&ended.report()), "delivered=4 mails=4");
    assert_eq!(
        stage.db.count("pending_emails WHERE status = 'sent'").await,
        4
    );
    assert_eq!(counts(&stage.deliver().await), "");
    assert_eq!(stage.outside.requests().len(), 4);
}
