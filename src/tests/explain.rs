//! `explain` shows for each person in an event's audience what happened or would, and why.

use notify_fan_out::fan_out::{EndpointOutcome, Explanation, InAppOutcome, Rule, explain};
use notify_fan_out::seed::{Size, seed};
use serde_json::json;
use uuid::Uuid;

use crate::harness::{TestDatabase, complaint, database_at};

/// What `explain` prints, without what differs from run to run.
fn printed(db: &TestDatabase<'_>, arguments: &[&str]) -> String {
    let assert = db.cli(arguments).success();
    let output = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
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

async fn event(db: &TestDatabase<'_>, condition: &str) -> i64 {
    let id = db
        .text(&format!(
            "SELECT min(id) FROM domain_events WHERE {condition}"
        ))
        .await;
    id.parse().expect("an event")
}

#[tokio::test]
async fn each_decision_names_its_rule() {
    let db = TestDatabase::new().await;
    seed(&database_at(&db.superuser_url()), Size::Small, false)
        .await
        .expect("seeded");
    let uploaded = event(&db, "event_type = 'document_uploaded'")
        .await
        .to_string();
    insta::assert_snapshot!(printed(&db, &["explain", &uploaded]), @r"
    event 1  document_uploaded
      status    pending, due
      audience  those with a grant on project …3-8000-000000000001, and the owners of the document's organisation, who may view document …4-8000-000000000001

    What it would do now:
      Ada Okafor uploaded Appraisal report (final).pdf to Quayside Lofts
        …1-8000-000000000001  Ada Okafor
          both   skipped: actor      recipient is the actor
        …1-8000-000000000002  Bruno Keller
          app    delivered           default of the event type
          e-mail digest              preference global / * / email = digest
        …1-8000-000000000003  Chiara Rossi
          app    delivered           default of the event type
          e-mail immediate           preference global / document_uploaded / email = immediate
        …1-8000-000000000004  Dev Patel
          app    muted               preference project / document_uploaded / in_app = muted
          e-mail digest              default of the event type
        …1-8000-000000000005  Elif Yılmaz
          both   skipped: no access  can_view
        …1-8000-000000000006  Farid Haddad
          app    delivered           default of the event type
          e-mail muted               preference global / * / email = muted
    ");
    db.run().await;
    insta::assert_snapshot!(printed(&db, &["explain", &uploaded]), @r"
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
    let mention = event(&db, "payload ? 'mentioned_user_ids'")
        .await
        .to_string();
    insta::assert_snapshot!(printed(&db, &["explain", &mention]), @r"
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
    insta::assert_snapshot!(printed(&db, &["explain", &nudge.to_string()]), @r"
    event 10  resume_incomplete_nudge
      status    completed
      audience  the person …1-8000-000000000003, while an owner of the organisation of project …3-8000-000000000001

    What it did:
      Your project resume for Quayside Lofts is 45% complete
        …1-8000-000000000003  Chiara Rossi
          both   skipped: not a member  membership of the audience
    ");
    // One person, who is in the audience or is not.
    insta::assert_snapshot!(printed(&db, &["explain", &mention, "--user", "5eed5eed-fa11-4001-8000-000000000008"]), @r"
    event 4  chat_message_sent
      status    completed
      audience  2 mentioned, as far as in thread …5-8000-000000000001
                the participants of thread …5-8000-000000000001 that are not mentioned

    What it did:
      unread in Closing checklist · Quayside Lofts
        …1-8000-000000000008  Hugo Martín
          app    muted                preference thread / * / * = muted
          e-mail none for this event  the event type
    ");
    insta::assert_snapshot!(printed(&db, &["explain", &mention, "--user", "5eed5eed-fa11-4001-8000-000000000006"]), @r"
    event 4  chat_message_sent
      status    completed
      audience  2 mentioned, as far as in thread …5-8000-000000000001
                the participants of thread …5-8000-000000000001 that are not mentioned

    …1-8000-000000000006 is not in the audience of this event.
    ");
}

#[tokio::test]
async fn explanation_matches_the_rows() {
    let db = TestDatabase::new().await;
    seed(&database_at(&db.superuser_url()), Size::Small, false)
        .await
        .expect("seeded");
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
            assert_eq!(
                db.count(&format!(
                    "pending_emails WHERE id = {row} AND event_id = {id} AND user_id = '{user}'"
                ))
                .await,
                1
            );
        }
    }
}

#[tokio::test]
async fn unknown_event_is_refused() {
    let db = TestDatabase::new().await;
    let assert = db.cli(&["explain", "4711"]).code(1);
    let message = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    insta::assert_snapshot!(complaint(&message), @"there is no event 4711 in domain_events");
}

/// A default on `processor_id` is the application's: nobody has claimed the event.
#[tokio::test]
async fn a_worker_is_named_once_it_claimed() {
    let db = TestDatabase::new().await;
    db.execute(
        "ALTER TABLE notification_processing ALTER processor_id SET DEFAULT 'theirs';
         INSERT INTO domain_events (event_type) VALUES ('meeting_reminder')",
    )
    .await;
    let worker = || {
        let printed = db.cli(&["explain", "1"]).success();
        let printed = String::from_utf8_lossy(&printed.get_output().stdout).into_owned();
        printed.lines().any(|line| line.starts_with("  worker"))
    };
    assert!(!worker());
    db.run().await;
    assert!(worker());
}

#[tokio::test]
async fn pruned_event_shows_what_it_did() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let bo = world.user("Bo").await;
    let event = world
        .event("project_access_revoked")
        .payload(json!({"affected_user_id": bo}))
        .await;
    db.run().await;
    db.execute(
        "INSERT INTO notification_pruned SELECT int8range(event_id, event_id, '[]'), now() FROM notification_processing;
         DELETE FROM notification_processing",
    )
    .await;
    let text = printed(&db, &["explain", &event.to_string()]);
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
    let text = printed(&db, &["explain", &event.to_string()]);
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
    let event = world
        .event("project_access_revoked")
        .payload(json!({"affected_user_id": bo}))
        .await;
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
    let acme = world.org("Acme", [ada]).await;
    let atlas = world.project("Atlas", acme).await;
    let payload =
        json!({"user_id": ada, "resume_type": "project", "completion_percent": 5, "nudge_tier": 1});
    let first = world
        .event("resume_incomplete_nudge")
        .project(atlas)
        .payload(payload.clone())
        .await;
    db.run().await;
    let second = world
        .event("resume_incomplete_nudge")
        .project(atlas)
        .payload(payload)
        .await;
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
    let event = world
        .event("project_access_revoked")
        .payload(json!({"affected_user_id": bo}))
        .await;
    db.run().await;
    world.prefers(bo, "global / * / in_app = muted", None).await;
    let decision = explained(&db, event).await.candidates.remove(0).in_app;
    assert_eq!(decision.outcome, "delivered, unread");
    insta::assert_snapshot!(decision.decided_by, @"the rules at that time; now preference global / * / in_app = muted");
}

#[tokio::test]
async fn a_message_read_since_was_merged_into_what_was_there_then() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let [ada, bo]: [Uuid; 2] = world.users(["Ada", "Bo"]).await;
    let budget = world.thread("Budget", [ada, bo]).await;
    let mut said = Vec::new();
    for _ in 0..2 {
        said.push(
            world
                .event("chat_message_sent")
                .actor(ada)
                .thread(budget)
                .await,
        );
    }
    db.run().await;
    db.execute("UPDATE notifications SET read_at = now()").await;
    said.push(
        world
            .event("chat_message_sent")
            .actor(ada)
            .thread(budget)
            .await,
    );
    db.run().await;
    let mut outcomes = Vec::new();
    for event in said {
        let explanation = explained(&db, event).await;
        let candidate = explanation
            .candidates
            .iter()
            .find(|candidate| candidate.user_id == bo)
            .expect("Bo");
        outcomes.push(candidate.in_app.outcome.clone());
    }
    assert_eq!(
        outcomes,
        [
            "no row: pruned, or skipped by the rules at that time",
            "delivered, read, counts 2 events",
            "delivered, unread",
        ]
    );
}

/// A decision that this version does not know is never taken for another one.
#[tokio::test]
async fn unknown_decision_is_an_error_that_names_it() {
    let db = TestDatabase::new().await;
    let mut connection = db.connect().await;
    let outcome = sqlx::query_scalar::<_, InAppOutcome>("SELECT 'postponed'")
        .fetch_one(&mut connection)
        .await;
    let routed = sqlx::query_scalar::<_, EndpointOutcome>("SELECT 'postponed'")
        .fetch_one(&mut connection)
        .await;
    let rule = sqlx::query_scalar::<_, Rule>("SELECT 4111")
        .fetch_one(&mut connection)
        .await;
    for (error, value) in [
        (outcome.err(), "postponed"),
        (routed.err(), "postponed"),
        (rule.err(), "4111"),
    ] {
        let error = error.expect("an error").to_string();
        assert!(error.contains(value), "{error}");
    }
    let known = sqlx::query_scalar::<_, Rule>("SELECT 3321")
        .fetch_one(&mut connection)
        .await;
    assert_eq!(known.expect("a rule").status(), "muted");
}
