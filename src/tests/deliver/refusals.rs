//! Mails that the database refuses to give a delivery.

use serde_json::json;

use super::{Queued, Stage, aggregated, counts, immediate};
use crate::harness::Worker;

#[tokio::test]
async fn a_dedup_key_of_any_length() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    // Nothing of it can be compressed.
    let numbers = (0..1_000).map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let words = numbers.fold(String::new(), |words, number| {
        format!("{words}{number:020}")
    });
    let long = |subject| Queued {
        body_data: json!({"guards": [format!("content:{words}")]}),
        ..immediate(bo, subject)
    };
    for subject in ["first", "same"] {
        stage.queue(long(subject)).await;
    }
    stage.queue(immediate(bo, "other")).await;
    let ended = Worker::start(stage.command().arg("--dry-run")).end().await;
    assert!(
        ended.stdout.ends_with("send=2 cancel=1 dead=0 wait=0\n"),
        "{}",
        ended.stdout
    );
    assert_eq!(
        counts(&stage.deliver().await),
        "cancelled=1 delivered=2 mails=3"
    );
}

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
    let ended = Worker::start(stage.command().args(["--format", "json"]))
        .end()
        .await;
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert_eq!(
        counts(&ended.report()),
        "dead=2 delivered=23 digests=2 mails=25"
    );
    let mut states = stage.queue_states().await;
    states.retain(|state| !state.ends_with(": sent"));
    assert_eq!(
        states,
        [
            "checked: failed dead: the database refuses it: new row for relation \"pending_emails\" violates check constraint \"no_checked\"",
            "frozen: pending",
            "raised: failed dead: the database refuses it: not this one",
        ]
    );
    assert!(
        ended
            .stderr
            .contains("unchanged: the database refuses every change of it"),
        "{}",
        ended.stderr
    );
}

/// An error of any SQLSTATE is a row's own if the database accepts another row.
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
    // What refuses all of them fails none.
    stage.db.execute(refuse("true")).await;
    let ended = Worker::start(&mut stage.command()).end().await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains("not this one"), "{}", ended.stderr);
    let waiting = "pending_emails WHERE status = 'pending'";
    assert_eq!(stage.db.count(waiting).await, 8);

    stage.db.execute(refuse("NEW.subject = 'odd'")).await;
    assert_eq!(
        counts(&stage.deliver().await),
        "dead=4 delivered=3 digests=1 mails=8"
    );
}

/// What the database refuses of all of them is not theirs.
#[tokio::test]
async fn a_refusal_that_is_not_about_a_row_fails_none() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    for number in 0..5 {
        stage.queue(immediate(bo, &format!("mail {number}"))).await;
    }
    stage
        .db
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE 'closed for today'; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE ON pending_emails
                FOR EACH STATEMENT EXECUTE FUNCTION refuse()",
        )
        .await;
    let ended = Worker::start(&mut stage.command()).end().await;
    assert!(!ended.status.success(), "{ended:?}");
    assert!(
        ended.stderr.contains("closed for today"),
        "{}",
        ended.stderr
    );
    assert_eq!(
        stage
            .db
            .count("pending_emails WHERE status = 'pending'")
            .await,
        5
    );
    stage
        .db
        .execute("DROP TRIGGER refuse ON pending_emails")
        .await;
    assert_eq!(counts(&stage.deliver().await), "delivered=5 mails=5");
}
