//! Rows that the database refuses to change, before or after their mail was sent.

use super::{Stage, aggregated, counts_of, immediate, start};

#[tokio::test]
async fn a_row_that_the_application_refuses_fails_alone() {
    let stage = Stage::new().await;
    let [bo, cy] = stage.db.world().await.users(["Bo", "Cy"]).await;
    for number in 0..20 {
        stage
            .queue(immediate(bo, &format!("before {number}")))
            .await;
    }
    stage.queue(immediate(bo, "checked")).await;
    stage.queue(immediate(bo, "frozen")).await;
    stage.queue(immediate(cy, "after")).await;
    stage.queue(aggregated(cy, "first of a digest")).await;
    stage.queue(aggregated(cy, "raised")).await;
    stage.queue(aggregated(bo, "another digest")).await;
    stage
        .db
        .execute(
            "ALTER TABLE pending_emails ADD CONSTRAINT no_checked CHECK (NOT (subject = 'checked' AND status = 'processing'));
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF NEW.subject = 'frozen' OR NEW.subject = 'raised' AND NEW.status = 'processing' THEN
                     RAISE 'not this one';
                 END IF;
                 RETURN NULL;
             END $$;
             CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON pending_emails
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await;
    let ended = start(&mut stage.command()).end().await;
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    let counts = counts_of(&ended.report());
    assert_eq!(counts, "dead=2 delivered=23 digests=2 mails=25");
    let states = stage.queue_states().await;
    let not_sent: Vec<_> = states
        .lines()
        .filter(|state| !state.ends_with(": sent"))
        .collect();
    insta::assert_snapshot!(not_sent.join("\n"), @r#"
    checked: failed dead: the database refuses it: new row for relation "pending_emails" violates check constraint "no_checked"
    frozen: pending
    raised: failed dead: the database refuses it: not this one
    "#);
    let why = "unchanged: the database refuses every change of it";
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
}

/// An error of any SQLSTATE is a row's own if the database accepts another row, and none's if it
/// accepts none.
#[tokio::test]
async fn a_sqlstate_of_the_application_fails_no_other_mail() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    for subject in ["a", "odd", "odd", "b"] {
        stage.queue(immediate(bo, subject)).await;
        stage.queue(aggregated(bo, subject)).await;
    }
    let refuse = |condition: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE 'not this one' USING ERRCODE = 'MY001'; END $$;
             CREATE OR REPLACE TRIGGER refuse BEFORE UPDATE ON pending_emails FOR EACH ROW
                WHEN (NEW.status = 'processing' AND {condition}) EXECUTE FUNCTION refuse()"
        )
    };
    stage.db.execute(refuse("true")).await;
    let ended = start(&mut stage.command()).end().await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains("not this one"), "{}", ended.stderr);
    let waiting = "pending_emails WHERE status = 'pending'";
    assert_eq!(stage.db.count(waiting).await, 8);

    stage.db.execute(refuse("NEW.subject = 'odd'")).await;
    let counts = stage.deliver().await;
    assert_eq!(counts, "dead=4 delivered=3 digests=1 mails=8");
}

#[tokio::test]
async fn a_mail_that_may_not_become_sent_is_sent_once_and_holds_up_no_other() {
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
    let ended = start(&mut stage.command()).end().await;
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(counts_of(&ended.report()), "delivered=4 mails=4");
    let why = "stays 'processing', although its delivery is recorded";
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
    let leases_end = "UPDATE notification_deliveries SET lease_until = now() - interval '1 s' WHERE status = 'sending'";
    stage.db.execute(leases_end).await;
    assert_eq!(stage.deliver().await, "");
    assert_eq!(
        stage.mails(),
        ["a", "b", "c", "refused"].map(|subject| format!("Bo <bo@example.com>: {subject}"))
    );
    insta::assert_snapshot!(stage.queue_states().await, @"
    a: sent
    b: sent
    refused: processing
    c: sent
    ");
}

#[tokio::test]
async fn a_locked_row_holds_up_no_other() {
    let (stage, gate) = Stage::gated().await;
    let bo = stage.db.world().await.user("Bo").await;
    for subject in ["a", "b", "locked mail", "locked delivery"] {
        stage.queue(immediate(bo, subject)).await;
    }
    let so_many = |count: u32, table: &str, status: &str| {
        format!("(SELECT count(*) = {count} FROM {table} WHERE status = '{status}')")
    };
    let (deliveries, mails) = ("notification_deliveries", "pending_emails");
    let worker = start(&mut stage.command());
    stage.db.until(&so_many(4, deliveries, "sending")).await;
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
    stage.db.until(&so_many(3, deliveries, "delivered")).await;
    stage.db.until(&so_many(2, mails, "sent")).await;
    lock.release().await;
    let ended = worker.end().await;
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(counts_of(&ended.report()), "delivered=4 mails=4");
    stage.db.until(&so_many(4, mails, "sent")).await;
    assert_eq!(stage.deliver().await, "");
    assert_eq!(stage.outside.count(), 4);
}
