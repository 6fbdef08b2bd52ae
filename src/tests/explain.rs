//! `explain` shows for each person in an event's audience what happened or would, and why.

use notify_fan_out::fan_out::{EndpointOutcome, Explanation, Outcome, PreferenceStatus, explain};
use notify_fan_out::seed::{Size, seed};

use crate::harness::{RunCommand as _, TestDatabase, complaint, database_at};

/// What `explain` prints, without what differs from run to run.
fn printed(db: &TestDatabase<'_>, event: i64, more: &[&str]) -> String {
    let mut command = db.binary();
    let command = command.args(["explain", &event.to_string()]).args(more);
    let output = command.prints();
    let lines = output
        .lines()
        .filter(|line| !line.starts_with("  occurred") && !line.starts_with("  worker"));
    let lines = lines.map(|line| match line.split_once(" 20") {
        Some((status, _time)) if line.starts_with("  status") => status,
        _ => line,
    });
    lines
        .collect::<Vec<_>>()
        .join("\n")
        .replace("5eed5eed-fa11-400", "…")
}

async fn explained(db: &TestDatabase<'_>, event_id: i64) -> Explanation {
    explain(&db.database(), event_id, None, &db.settings())
        .await
        .expect("explained")
        .expect("an event")
}

async fn seeded() -> TestDatabase<'static> {
    let db = TestDatabase::new().await;
    let seeded = seed(&database_at(&db.superuser_url()), Size::Small, false).await;
    seeded.expect("seeded");
    db
}

async fn event(db: &TestDatabase<'_>, condition: &str) -> i64 {
    let first = format!("SELECT min(id) FROM domain_events WHERE {condition}");
    db.text(first).await.parse().expect("an event")
}

#[tokio::test]
async fn each_decision_names_its_rule() {
    let db = seeded().await;
    let uploaded = event(&db, "event_type = 'document_uploaded'").await;
    let pending = printed(&db, uploaded, &[]);
    assert!(pending.contains("  status    pending, due\n"), "{pending}");
    assert!(pending.contains("\nWhat it would do now:\n"), "{pending}");
    db.run().await;
    insta::assert_snapshot!(printed(&db, uploaded, &[]), @r"
    event 1  document_uploaded
      status    completed
      audience  those with a grant on project …3-8000-000000000001, and the owners of the document's organisation, who may view document …4-8000-000000000001

    What it did:
      Ada Okafor uploaded Appraisal report (final).pdf to Quayside Lofts
        …1-8000-000000000001  Ada Okafor
          both   skipped: actor                         recipient is the actor
        …1-8000-000000000002  Bruno Keller
          app    delivered, unread (notifications 1)    default of the event type
          e-mail digest, pending (pending_emails 1)     preference global / * / email = digest
        …1-8000-000000000003  Chiara Rossi
          app    delivered, unread (notifications 2)    default of the event type
          e-mail immediate, pending (pending_emails 2)  preference global / document_uploaded / email = immediate
        …1-8000-000000000004  Dev Patel
          app    muted                                  preference project / document_uploaded / in_app = muted
          e-mail digest, pending (pending_emails 3)     default of the event type
        …1-8000-000000000005  Elif Yılmaz
          both   skipped: no access                     can_view
        …1-8000-000000000006  Farid Haddad
          app    delivered, unread (notifications 3)    default of the event type
          e-mail muted                                  preference global / * / email = muted
    ");
    let mention = event(&db, "payload ? 'mentioned_user_ids'").await;
    insta::assert_snapshot!(printed(&db, mention, &[]), @r"
    event 4  chat_message_sent
      status    completed
      audience  2 mentioned, as far as in thread …5-8000-000000000001
                the participants of thread …5-8000-000000000001 that are not mentioned

    What it did:
      Chiara Rossi mentioned you in Closing checklist · Quayside Lofts
        …1-8000-000000000004  Dev Patel
          both   skipped: not a member                                  membership of the audience
        …1-8000-000000000007  Grace Lindqvist
          app    delivered, unread (notifications 8)                    default of the event type
          e-mail none for this event                                    the event type
      unread in Closing checklist · Quayside Lofts
        …1-8000-000000000001  Ada Okafor
          app    delivered, unread (notifications 21)                   default of the event type
          e-mail none for this event                                    the event type
        …1-8000-000000000002  Bruno Keller
          app    delivered, unread, counts 2 events (notifications 22)  preference thread / * / in_app = immediate
          e-mail none for this event                                    the event type
        …1-8000-000000000003  Chiara Rossi
          both   skipped: actor                                         recipient is the actor
        …1-8000-000000000008  Hugo Martín
          app    muted                                                  preference thread / * / * = muted
          e-mail none for this event                                    the event type
    ");
    // The first of the two that Bruno's notification counts.
    let first = event(
        &db,
        "event_type = 'chat_message_sent' AND NOT payload ? 'mentioned_user_ids'",
    )
    .await;
    let bruno = explained(&db, first)
        .await
        .candidates
        .into_iter()
        .find(|candidate| candidate.name.as_deref() == Some("Bruno Keller"));
    assert_eq!(
        bruno.expect("Bruno").in_app.outcome,
        "merged with later ones; the unread one counts 2 events"
    );
    let nudge = event(
        &db,
        "event_type = 'resume_incomplete_nudge' AND payload ->> 'completion_percent' = '45'",
    )
    .await;
    insta::assert_snapshot!(printed(&db, nudge, &[]), @r"
    event 10  resume_incomplete_nudge
      status    completed
      audience  the person …1-8000-000000000003, while an owner of the organisation of project …3-8000-000000000001

    What it did:
      Your project resume for Quayside Lofts is 45% complete
        …1-8000-000000000003  Chiara Rossi
          both   skipped: not a member  membership of the audience
    ");
    // One person, who is in the audience or is not.
    let of = |user: u8| {
        let user = format!("5eed5eed-fa11-4001-8000-00000000000{user}");
        let printed = printed(&db, mention, &["--user", &user]);
        printed.split_once("\n\n").expect("parts").1.to_owned()
    };
    insta::assert_snapshot!(of(8), @r"
    What it did:
      unread in Closing checklist · Quayside Lofts
        …1-8000-000000000008  Hugo Martín
          app    muted                preference thread / * / * = muted
          e-mail none for this event  the event type
    ");
    assert_eq!(
        of(6),
        "…1-8000-000000000006 is not in the audience of this event."
    );
}

#[tokio::test]
async fn explanation_matches_the_rows() {
    let db = seeded().await;
    let ids = db.texts("SELECT id FROM domain_events ORDER BY id").await;
    let mut would = Vec::new();
    for id in &ids {
        let explanation = explained(&db, id.parse().expect("a number")).await;
        for candidate in explanation.candidates {
            let is_delivered = ["delivered", "merged"]
                .iter()
                .any(|word| candidate.in_app.outcome.starts_with(word));
            let mailed = ["immediate", "digest"].contains(&candidate.email.outcome.as_str());
            would.push((id.clone(), candidate.user_id, is_delivered, mailed));
        }
    }
    db.run().await;
    for (id, user, is_delivered, mailed) in would {
        let candidates = explained(&db, id.parse().expect("a number"))
            .await
            .candidates;
        let candidate = candidates
            .iter()
            .find(|candidate| candidate.user_id == user)
            .expect("the same people");
        assert_eq!(
            (
                candidate.in_app.row_id.is_some(),
                candidate.email.row_id.is_some()
            ),
            (is_delivered, mailed),
            "event {id}: {candidate:?}"
        );
        if let Some(row) = &candidate.email.row_id {
            let of_both = format!(
                "pending_emails WHERE id = {row} AND event_id = {id} AND user_id = '{user}'"
            );
            assert_eq!(db.count(of_both).await, 1);
        }
    }
}

#[tokio::test]
async fn unknown_event_is_refused() {
    let db = TestDatabase::new().await;
    let error = db.fails("explain 4711", 1);
    insta::assert_snapshot!(complaint(&error), @"there is no event 4711 in domain_events");
}

/// A default on `processor_id` is the application's: nobody has claimed the event.
#[tokio::test]
async fn worker_is_named_once_it_claimed() {
    let db = TestDatabase::new().await;
    db.execute(
        "ALTER TABLE notification_processing ALTER processor_id SET DEFAULT 'theirs';
         INSERT INTO domain_events (event_type) VALUES ('meeting_reminder')",
    )
    .await;
    let names_worker = || db.prints("explain 1").contains("\n  worker");
    assert!(!names_worker());
    db.run().await;
    assert!(names_worker());
}

#[tokio::test]
async fn pruned_event_shows_what_it_did() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let bo = world.user("Bo").await;
    let event = world.revoked(bo).await;
    db.run().await;
    db.execute(
        "INSERT INTO notification_pruned SELECT int8range(event_id, event_id, '[]'), now() FROM notification_processing;
         DELETE FROM notification_processing",
    )
    .await;
    let text = printed(&db, event, &[]);
    let lines: Vec<_> = text.lines().filter(|line| !line.contains("Bo")).collect();
    insta::assert_snapshot!(lines.join("\n").replace(&bo.to_string(), "BO"), @"
    event 1  project_access_revoked
      status    pruned: it was completed, and its processing row deleted
      audience  the person BO

    What it did:
      Someone removed your access to a project
          app    delivered, unread (notifications 1)  default of the event type
          e-mail none for this event                  the event type
    ");
    // One that was never there is another thing.
    db.execute("DELETE FROM notification_pruned").await;
    let text = printed(&db, event, &[]);
    assert!(text.contains("no row in notification_processing"), "{text}");
}

#[tokio::test]
async fn event_that_can_not_be_planned_says_why() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let unknown = world.event("an_unknown_type").await;
    let invalid = world.event("document_uploaded").await;
    let problem = async |id| explained(&db, id).await.problem.expect("a problem");
    insta::assert_snapshot!(problem(unknown).await, @"no handler for this type in this version");
    insta::assert_snapshot!(problem(invalid).await, @"invalid document_uploaded event: project_id or resource_id is required");
}

#[tokio::test]
async fn rows_that_an_older_job_doubled_are_one_person() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let bo = world.user("Bo").await;
    let event = world.revoked(bo).await;
    db.execute(format!(
        "DROP INDEX notifications_event_user_key;
         INSERT INTO notifications (user_id, event_id, title) SELECT '{bo}', {event}, 'again' FROM generate_series(1, 3)"
    ))
    .await;
    assert_eq!(explained(&db, event).await.candidates.len(), 1);
}

#[tokio::test]
async fn pruned_nudge_does_not_count_as_notified_once() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let ada = world.user("Ada").await;
    let [_, atlas] = world.acme([ada]).await;
    let first = world.nudge(ada, atlas, 1).await;
    db.run().await;
    let second = world.nudge(ada, atlas, 1).await;
    db.run().await;
    db.execute(
        "UPDATE notification_once SET ends_with_notification = false;
         DELETE FROM notifications; DELETE FROM pending_emails",
    )
    .await;
    let outcomes = async |id| {
        let candidate = explained(&db, id).await.candidates.remove(0);
        [candidate.in_app.outcome, candidate.email.outcome]
    };
    assert_eq!(
        outcomes(first).await,
        ["no row: pruned, or skipped by the rules at that time"; 2]
    );
    assert_eq!(outcomes(second).await, ["skipped: notified once before"; 2]);
}

#[tokio::test]
async fn a_preference_that_came_later_did_not_decide() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let bo = world.user("Bo").await;
    let event = world.revoked(bo).await;
    db.run().await;
    world.prefers(bo, "global / * / in_app = muted", None).await;
    let decision = explained(&db, event).await.candidates.remove(0).in_app;
    assert_eq!(decision.outcome, "delivered, unread");
    insta::assert_snapshot!(decision.decided_by, @"the rules at that time; now preference global / * / in_app = muted");
}

#[tokio::test]
async fn message_read_since_was_merged_into_what_was_there_then() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let [ada, bo] = world.users(["Ada", "Bo"]).await;
    let budget = world.thread("Budget", [ada, bo]).await;
    for _ in 0..2 {
        world.message(budget).actor(ada).await;
    }
    db.run().await;
    db.execute("UPDATE notifications SET read_at = now()").await;
    world.message(budget).actor(ada).await;
    db.run().await;
    for (event, outcome) in [
        (1, "no row: pruned, or skipped by the rules at that time"),
        (2, "delivered, read, counts 2 events"),
        (3, "delivered, unread"),
    ] {
        let mut candidates = explained(&db, event).await.candidates;
        candidates.retain(|candidate| candidate.user_id == bo);
        assert_eq!(candidates[0].in_app.outcome, outcome, "message {event}");
    }
}

/// A decision that this version does not know is never taken for another one.
#[tokio::test]
async fn unknown_decision_is_an_error_that_names_it() {
    let db = TestDatabase::new().await;
    let mut connection = db.connect().await;
    let outcome = sqlx::query_scalar::<_, Outcome>("SELECT 'postponed'");
    let outcome = outcome.fetch_one(&mut connection).await.err();
    let routed = sqlx::query_scalar::<_, EndpointOutcome>("SELECT 'postponed'");
    let routed = routed.fetch_one(&mut connection).await.err();
    let status = sqlx::query_scalar::<_, PreferenceStatus>("SELECT 'postponed'");
    let status = status.fetch_one(&mut connection).await.err();
    for error in [outcome, routed, status] {
        let error = error.expect("an error").to_string();
        assert!(error.contains("postponed"), "{error}");
    }
}
