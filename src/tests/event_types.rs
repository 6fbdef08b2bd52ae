//! What each kind of audience leads to, in the rows of the application: one event type for each. What other
//! types say is a matter of their handlers, and of their own tests.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{
    ACME, ADA, ATLAS, BO, BUDGET, CY, GIA, KICKOFF, OLGA, REPORT, Summary as _, TestDatabase,
    Worker, World,
};

/// Acme owns Atlas. Olga and Owen own Acme, Max is a member, Ada, Gia and Hal have a grant on
/// Atlas, but Hal may not view its Report. Ada, Bo and Cy talk in Budget and meet at Kick-off.
async fn stage() -> (TestDatabase<'static>, World) {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    world.users(["Ada", "Bo", "Cy", "Gia", "Olga"]).await;
    let [owen, max, hal] = world.users(["Owen", "Max", "Hal"]).await;
    world.acme([OLGA, owen]).await;
    world.members(ACME, "member", [max]).await;
    world.grant(ATLAS, [ADA, GIA, hal]).await;
    world.document("Report", ACME, ATLAS).await;
    world.permission(REPORT, hal, "none").await;
    world.thread("Budget", [ADA, BO, CY]).await;
    world.meeting("Kick-off", [ADA, BO, CY]).await;
    (db, world)
}

/// What the only event leads to, which has to complete.
async fn outcome(db: &TestDatabase<'_>) -> String {
    db.run().await;
    assert_eq!(db.standings().await, "completed=1");
    db.notified().await
}

/// A nudge for Olga, the same each time.
async fn nudge(world: &mut World) -> i64 {
    world.nudge(OLGA, ATLAS, 1).await
}

#[tokio::test]
async fn document_reaches_grantees_and_owners_who_may_view_it() {
    let (db, mut world) = stage().await;
    let event = world.uploaded(REPORT, ATLAS);
    event.actor(ADA).await;
    let outcome = outcome(&db).await;
    insta::assert_snapshot!(outcome.lines().take(6).collect::<Vec<_>>().join("\n"), @r#"
    Gia by mail, aggregated: Ada uploaded Report to Atlas (project Atlas Atlas)
      {"type": "document_uploaded", "link_url": "/project/workspace/Atlas?resourceId=Report", "file_name": "Report", "project_id": "Atlas", "resource_id": "Report", "uploader_id": "Ada", "project_name": "Atlas", "resource_name": "Report", "uploader_name": "Ada"}
    Gia: Ada uploaded Report to Atlas
      **Ada** uploaded **Report** to **Atlas**.
      /project/workspace/Atlas?resourceId=Report
      {"type": "document_uploaded", "file_name": "Report", "project_id": "Atlas", "resource_id": "Report", "uploader_id": "Ada", "project_name": "Atlas", "resource_name": "Report", "uploader_name": "Ada"}
    "#);
    insta::assert_snapshot!(db.titles().await, @"
    Gia by mail, aggregated: Ada uploaded Report to Atlas (project Atlas Atlas)
    Gia: Ada uploaded Report to Atlas
    Olga by mail, aggregated: Ada uploaded Report to Atlas (project Atlas Atlas)
    Olga: Ada uploaded Report to Atlas
    Owen by mail, aggregated: Ada uploaded Report to Atlas (project Atlas Atlas)
    Owen: Ada uploaded Report to Atlas
    ");
}

#[tokio::test]
async fn document_of_another_organisation_reaches_its_owners_not_the_projects() {
    let (db, mut world) = stage().await;
    let zoe = world.user("Zoe").await;
    let zeta = world.org("Zeta", [zoe]).await;
    let letter = world.document("Letter", zeta, ATLAS).await;
    let event = world.uploaded(letter, ATLAS);
    event.actor(ADA).await;
    outcome(&db).await;
    insta::assert_snapshot!(db.titles().await, @"
    Gia by mail, aggregated: Ada uploaded Letter to Atlas (project Atlas Atlas)
    Gia: Ada uploaded Letter to Atlas
    Hal by mail, aggregated: Ada uploaded Letter to Atlas (project Atlas Atlas)
    Hal: Ada uploaded Letter to Atlas
    Zoe by mail, aggregated: Ada uploaded Letter to Atlas (project Atlas Atlas)
    Zoe: Ada uploaded Letter to Atlas
    ");
}

#[tokio::test]
async fn message_reaches_participants_and_those_of_them_whom_it_mentions() {
    let (db, mut world) = stage().await;
    let payload = json!({
        // Gia does not take part in the thread; Ada is the sender.
        "mentioned_user_ids": [BO, GIA, ADA],
        "full_content": "Look, @Bo: [the *whole* story](https://example.com)",
        "message_content": "Look, @Bo: the story",
        "preview": "Look…",
    });
    let event = world.message(BUDGET).project(ATLAS);
    event.actor(ADA).payload(payload).await;
    insta::assert_snapshot!(outcome(&db).await, @r#"
    Bo: Ada mentioned you in Budget · Atlas
      Look, @Bo: [the *whole* story](https://example.com)
      /project/workspace/Atlas?tab=chat&thread=Budget
      {"type": "mention", "sender_id": "Ada", "thread_id": "Budget", "project_id": "Atlas", "sender_name": "Ada", "thread_name": "Budget", "project_name": "Atlas"}
    Cy: 1 unread in Budget · Atlas
      1 unread in **Budget** · **Atlas**, the latest from **Ada**: Look…
      /project/workspace/Atlas?tab=chat&thread=Budget
      {"type": "thread_activity", "count": 1, "thread_id": "Budget", "project_id": "Atlas", "thread_name": "Budget", "project_name": "Atlas"}
    "#);
}

#[tokio::test]
async fn meeting_reaches_participants_but_its_actor() {
    let (db, mut world) = stage().await;
    let payload = json!({"changes": {"timeChanged": true, "participantsChanged": false}});
    let event = world.updated(KICKOFF).project(ATLAS);
    event.actor(ADA).payload(payload).await;
    insta::assert_snapshot!(outcome(&db).await, @r#"
    Bo: Ada changed the time of Kick-off · Atlas
      **Ada** changed the time of **Kick-off** · **Atlas**. New time: {{meeting_time}}.
      /project/workspace/Atlas?tab=meetings
      {"type": "meeting_update", "changes": {"timeChanged": true, "participantsChanged": false}, "meeting_id": "Kick-off", "project_id": "Atlas", "start_time": "2030-01-02T09:30:00Z", "organizer_id": null, "project_name": "Atlas", "meeting_title": "Kick-off", "organizer_name": null}
    Cy: Ada changed the time of Kick-off · Atlas
      **Ada** changed the time of **Kick-off** · **Atlas**. New time: {{meeting_time}}.
      /project/workspace/Atlas?tab=meetings
      {"type": "meeting_update", "changes": {"timeChanged": true, "participantsChanged": false}, "meeting_id": "Kick-off", "project_id": "Atlas", "start_time": "2030-01-02T09:30:00Z", "organizer_id": null, "project_name": "Atlas", "meeting_title": "Kick-off", "organizer_name": null}
    "#);
}

/// The organisation and the new member may stand in the payload; an owner who is the new member
/// is not notified.
#[tokio::test]
async fn invitation_reaches_owners_but_the_new_member() {
    let (db, mut world) = stage().await;
    let payload = json!({"org_id": ACME, "new_member_id": OLGA});
    world.event("invite_accepted").payload(payload).await;
    insta::assert_snapshot!(outcome(&db).await, @r#"
    Owen by mail, immediate: Olga accepted the invitation to Acme
      {"type": "invite_accepted", "org_id": "Acme", "link_url": "/team", "org_name": "Acme", "new_member_id": "Olga", "new_member_name": "Olga", "new_member_email": "olga@example.com"}
    Owen: Olga accepted the invitation to Acme
      **Olga** accepted the invitation to **Acme**.
      /team
      {"type": "invite_accepted", "org_id": "Acme", "org_name": "Acme", "new_member_id": "Olga", "new_member_name": "Olga", "new_member_email": "olga@example.com"}
    "#);
}

#[tokio::test]
async fn event_reaches_the_person_named_unless_unknown_or_the_actor() {
    let (db, mut world) = stage().await;
    let event = world.granted(Uuid::nil(), ATLAS);
    event.actor(ADA).await;
    let event = world.event("meeting_invited").actor(BO);
    let event = event.meeting(KICKOFF);
    event.payload(json!({"invited_user_id": BO})).await;
    let report = db.run().await.summary();
    assert_eq!(report, "events=2 suppressed=1");
    world.granted(BO, ATLAS).actor(ADA).await;
    db.run().await;
    insta::assert_snapshot!(db.notified().await, @r#"
    Bo by mail, immediate: Ada gave you view access to Atlas (project Atlas Atlas)
      {"type": "project_access_granted", "actor_id": "Ada", "link_url": "/project/workspace/Atlas", "actor_name": "Ada", "project_id": "Atlas", "project_name": "Atlas", "new_permission": "view"}
    Bo: Ada gave you view access to Atlas
      **Ada** gave you **view** access to **Atlas**.
      /project/workspace/Atlas
      {"type": "project_access_granted", "actor_id": "Ada", "actor_name": "Ada", "project_id": "Atlas", "project_name": "Atlas", "new_permission": "view"}
    "#);
}

/// Once per owner, project, kind of resume and tier.
#[tokio::test]
async fn nudge_reaches_the_owner_once() {
    let (db, mut world) = stage().await;
    // No owner.
    world.nudge(GIA, ATLAS, 1).await;
    assert_eq!(outcome(&db).await, "");
    let borrower = json!({
        "user_id": OLGA, "resume_type": "borrower", "completion_percent": 0, "nudge_tier": 1,
    });
    world.nudge(OLGA, ATLAS, 1).payload(borrower).await;
    db.run().await;
    insta::assert_snapshot!(db.notified().await, @r#"
    Olga by mail, immediate: Your borrower resume for Atlas is 0% complete (project Atlas Atlas)
      {"type": "resume_incomplete_nudge", "user_id": "Olga", "link_url": "/project/workspace/Atlas", "nudge_tier": 1, "project_id": "Atlas", "resume_type": "borrower", "project_name": "Atlas", "resume_type_label": "Borrower", "completion_percent": 0}
    Olga: Your borrower resume for Atlas is 0% complete
      Your borrower resume for **Atlas** is 0% complete. Pick up where you left off.
      /project/workspace/Atlas
      {"type": "resume_incomplete_nudge", "user_id": "Olga", "nudge_tier": 1, "project_id": "Atlas", "resume_type": "borrower", "project_name": "Atlas", "resume_type_label": "Borrower", "completion_percent": 0}
    "#);
    for tier in [1, 1, 2] {
        world.nudge(OLGA, ATLAS, tier).await;
    }
    let report = db.run().await;
    insta::assert_snapshot!(report.summary(), @"events=3 notifications=2 emails=2 suppressed=1");
}

/// The application deletes a nudge's notification to begin anew.
#[tokio::test]
async fn nudge_begins_anew_where_its_notification_was_deleted() {
    let (db, mut world) = stage().await;
    nudge(&mut world).await;
    db.run().await;
    db.execute("DELETE FROM notifications").await;
    let [again, repeated] = [nudge(&mut world).await, nudge(&mut world).await];
    let (_, dry) = db.dry_run("");
    let report = db.run().await;
    insta::assert_snapshot!(report.summary(), @"events=2 notifications=1 emails=1 suppressed=1");
    for count in ["notifications", "emails", "suppressed"] {
        assert_eq!(dry["would"][count], Value::from(1), "{dry}");
    }
    for (event, why) in [
        (again, "delivered, unread"),
        (repeated, "once per person (notification_once)"),
    ] {
        let explained = db.prints(&format!("explain {event}"));
        assert!(explained.contains(why), "{explained}");
    }
    nudge(&mut world).await;
    assert_eq!(db.run().await.notifications, 0);
}

#[tokio::test]
async fn nudge_does_not_begin_anew_otherwise() {
    let (db, mut world) = stage().await;
    // It was mailed, and there never was a notification.
    let mute = "global / * / in_app = muted";
    world.prefers(OLGA, mute, None).await;
    let first = nudge(&mut world).await;
    assert_eq!(db.run().await.emails, 1);
    db.execute("DELETE FROM user_notification_preferences; DELETE FROM pending_emails")
        .await;
    nudge(&mut world).await;
    db.run().await;
    assert_eq!(db.notified().await, "");
    // The notification went with its event.
    let gone = format!(
        "UPDATE notification_once SET ends_with_notification = true;
         DELETE FROM domain_events WHERE id = {first}"
    );
    db.execute(gone).await;
    nudge(&mut world).await;
    db.run().await;
    assert_eq!(db.notified().await, "");
}

/// Another worker has sent it anew meanwhile.
#[tokio::test]
async fn nudge_begins_anew_once() {
    let (db, mut world) = stage().await;
    nudge(&mut world).await;
    db.run().await;
    db.execute("DELETE FROM notifications").await;
    let [other, _mine] = [nudge(&mut world).await, nudge(&mut world).await];
    let hold = db
        .hold(&format!(
            "UPDATE notification_processing SET processing_status = 'completed' WHERE event_id = {other};
             UPDATE notification_once SET event_id = {other};
             INSERT INTO notifications (user_id, event_id, title) VALUES ('{OLGA}', {other}, 'Anew')"
        ))
        .await;
    let (report, ()) = tokio::join!(db.run(), async {
        db.until_waiting(1).await;
        hold.release().await;
    });
    insta::assert_snapshot!(report.summary(), @"events=1 suppressed=1");
}

/// Another worker writes the same nudge: this one waits for it, and writes its own batch only once.
#[tokio::test]
async fn the_same_nudge_by_two_workers_is_written_once() {
    let (db, mut world) = stage().await;
    nudge(&mut world).await;
    let key = format!("resume_incomplete_nudge:{ATLAS}:project:1");
    let hold = db
        .hold(&format!(
            "INSERT INTO notification_once (user_id, once_key, event_id) VALUES ('{OLGA}', '{key}', 0)"
        ))
        .await;
    let mut command = db.binary();
    command.args(["--format", "json"]).env("LOG_LEVEL", "DEBUG");
    let worker = Worker::start(&mut command);
    db.until_waiting(1).await;
    hold.release().await;
    let ended = worker.ends(0).await;
    let again = "writing the batch again";
    assert!(!ended.stderr.contains(again), "{ended:?}");
    assert_eq!(ended.summary(), "events=1 suppressed=1");
    assert_eq!(db.notified().await, "");
}

/// An owner who muted a nudge on both channels was not notified: it is not used up.
#[tokio::test]
async fn muted_nudge_is_not_used_up() {
    let (db, mut world) = stage().await;
    let mute = "global / * / * = muted";
    world.prefers(OLGA, mute, None).await;
    nudge(&mut world).await;
    assert_eq!(outcome(&db).await, "");
    let unmute = "DELETE FROM user_notification_preferences";
    db.execute(unmute).await;
    nudge(&mut world).await;
    let report = db.run().await;
    insta::assert_snapshot!(report.summary(), @"events=1 notifications=1 emails=1");
}

#[tokio::test]
async fn event_that_lacks_a_required_key_fails_and_names_it() {
    let (db, mut world) = stage().await;
    let event = world.event("meeting_invited").meeting(KICKOFF);
    let event = event.payload(json!({})).await;
    assert_eq!(db.run().await.summary(), "failed=1");
    assert_eq!(db.notified().await, "");
    insta::assert_snapshot!(db.state(event).await, @"failed 0 invalid meeting_invited event: payload.invited_user_id is required");
}
