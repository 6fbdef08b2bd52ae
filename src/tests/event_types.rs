//! The rows that each event type leads to: who, which text, which link, which data, which mail.

use serde_json::json;
use uuid::Uuid;

use crate::harness::{TestDatabase, Worker, World};

/// Acme owns Atlas. Olga and Owen own Acme, Max is a member, Ada, Gia and Hal have a grant on
/// Atlas, but Hal may not view its Report. Ada, Bo and Cy talk in Budget and meet at Kick-off.
struct Stage {
    db: TestDatabase<'static>,
    world: World,
    ada: Uuid,
    bo: Uuid,
    olga: Uuid,
    gia: Uuid,
    acme: Uuid,
    atlas: Uuid,
    report: Uuid,
    budget: Uuid,
    kickoff: Uuid,
}

impl Stage {
    async fn new() -> Self {
        let db = TestDatabase::new().await;
        let mut world = db.world().await;
        let [ada, bo, cy] = world.users(["Ada", "Bo", "Cy"]).await;
        let [olga, owen, max, gia, hal] = world.users(["Olga", "Owen", "Max", "Gia", "Hal"]).await;
        let acme = world.org("Acme", [olga, owen]).await;
        world.members(acme, "member", [max]).await;
        let atlas = world.project("Atlas", acme).await;
        world.grant(atlas, [ada, gia, hal]).await;
        let report = world.document("Report", acme, atlas).await;
        world.permission(report, hal, "none").await;
        let budget = world.thread("Budget", [ada, bo, cy]).await;
        let kickoff = world.meeting("Kick-off", [ada, bo, cy]).await;
        Self {
            db,
            world,
            ada,
            bo,
            olga,
            gia,
            acme,
            atlas,
            report,
            budget,
            kickoff,
        }
    }

    /// A nudge for Olga, the same each time.
    async fn nudge(&mut self) -> i64 {
        let payload = json!({
            "user_id": self.olga, "resume_type": "project", "completion_percent": 40, "nudge_tier": 1,
        });
        self.world
            .event("resume_incomplete_nudge")
            .project(self.atlas)
            .payload(payload)
            .await
    }

    /// What the only event led to, which has to complete.
    async fn outcome(&self) -> String {
        self.db.run().await;
        assert_eq!(
            self.db.statuses().await,
            [("completed".to_owned(), 1)].into()
        );
        self.db.notified().await
    }

    /// Why the only event failed.
    async fn failure(&self) -> String {
        let report = self.db.run().await;
        assert_eq!((report.failed, report.events), (1, 0));
        assert_eq!(self.db.notified().await, "");
        self.db
            .text("SELECT error_message FROM notification_processing")
            .await
    }
}

#[tokio::test]
async fn document_uploaded() {
    let mut stage = Stage::new().await;
    let event = stage.world.event("document_uploaded");
    event
        .actor(stage.ada)
        .project(stage.atlas)
        .document(stage.report)
        .await;
    insta::assert_snapshot!(stage.outcome().await, @r#"
    Gia by mail, aggregated: Ada uploaded Report to Atlas (project Atlas Atlas)
      {"type": "document_uploaded", "link_url": "/project/workspace/Atlas?resourceId=Report", "file_name": "Report", "project_id": "Atlas", "resource_id": "Report", "uploader_id": "Ada", "project_name": "Atlas", "resource_name": "Report", "uploader_name": "Ada"}
    Gia: Ada uploaded Report to Atlas
      **Ada** uploaded **Report** to **Atlas**.
      /project/workspace/Atlas?resourceId=Report
      {"type": "document_uploaded", "file_name": "Report", "project_id": "Atlas", "resource_id": "Report", "uploader_id": "Ada", "project_name": "Atlas", "resource_name": "Report", "uploader_name": "Ada"}
    Olga by mail, aggregated: Ada uploaded Report to Atlas (project Atlas Atlas)
      {"type": "document_uploaded", "link_url": "/project/workspace/Atlas?resourceId=Report", "file_name": "Report", "project_id": "Atlas", "resource_id": "Report", "uploader_id": "Ada", "project_name": "Atlas", "resource_name": "Report", "uploader_name": "Ada"}
    Olga: Ada uploaded Report to Atlas
      **Ada** uploaded **Report** to **Atlas**.
      /project/workspace/Atlas?resourceId=Report
      {"type": "document_uploaded", "file_name": "Report", "project_id": "Atlas", "resource_id": "Report", "uploader_id": "Ada", "project_name": "Atlas", "resource_name": "Report", "uploader_name": "Ada"}
    Owen by mail, aggregated: Ada uploaded Report to Atlas (project Atlas Atlas)
      {"type": "document_uploaded", "link_url": "/project/workspace/Atlas?resourceId=Report", "file_name": "Report", "project_id": "Atlas", "resource_id": "Report", "uploader_id": "Ada", "project_name": "Atlas", "resource_name": "Report", "uploader_name": "Ada"}
    Owen: Ada uploaded Report to Atlas
      **Ada** uploaded **Report** to **Atlas**.
      /project/workspace/Atlas?resourceId=Report
      {"type": "document_uploaded", "file_name": "Report", "project_id": "Atlas", "resource_id": "Report", "uploader_id": "Ada", "project_name": "Atlas", "resource_name": "Report", "uploader_name": "Ada"}
    "#);
}

/// The owners of the document's organisation are notified, not those of the project's.
#[tokio::test]
async fn document_of_another_organisation() {
    let mut stage = Stage::new().await;
    let zoe = stage.world.user("Zoe").await;
    let zeta = stage.world.org("Zeta", [zoe]).await;
    let letter = stage.world.document("Letter", zeta, stage.atlas).await;
    let event = stage.world.event("document_uploaded");
    event
        .actor(stage.ada)
        .project(stage.atlas)
        .document(letter)
        .await;
    stage.outcome().await;
    insta::assert_snapshot!(stage.db.titles().await, @"
    Gia by mail, aggregated: Ada uploaded Letter to Atlas (project Atlas Atlas)
    Gia: Ada uploaded Letter to Atlas
    Hal by mail, aggregated: Ada uploaded Letter to Atlas (project Atlas Atlas)
    Hal: Ada uploaded Letter to Atlas
    Zoe by mail, aggregated: Ada uploaded Letter to Atlas (project Atlas Atlas)
    Zoe: Ada uploaded Letter to Atlas
    ");
}

#[tokio::test]
async fn chat_message_sent() {
    let mut stage = Stage::new().await;
    let event = stage.world.event("chat_message_sent");
    let payload = json!({
        // Gia does not take part in the thread; Ada is the sender.
        "mentioned_user_ids": [stage.bo, stage.gia, stage.ada],
        "full_content": "Look, @Bo: [the *whole* story](https://example.com)",
        "message_content": "Look, @Bo: the story",
        "preview": "Look…",
    });
    event
        .actor(stage.ada)
        .project(stage.atlas)
        .thread(stage.budget)
        .payload(payload)
        .await;
    insta::assert_snapshot!(stage.outcome().await, @r#"
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
async fn meeting_updated() {
    let mut stage = Stage::new().await;
    let event = stage.world.event("meeting_updated");
    let payload = json!({"changes": {"timeChanged": true, "participantsChanged": false}});
    event
        .actor(stage.ada)
        .project(stage.atlas)
        .meeting(stage.kickoff)
        .payload(payload)
        .await;
    insta::assert_snapshot!(stage.outcome().await, @r#"
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

#[tokio::test]
async fn resume_incomplete_nudge() {
    let mut stage = Stage::new().await;
    let payload = json!({
        "user_id": stage.olga, "resume_type": "borrower", "completion_percent": 0, "nudge_tier": 1,
    });
    stage
        .world
        .event("resume_incomplete_nudge")
        .project(stage.atlas)
        .payload(payload)
        .await;
    insta::assert_snapshot!(stage.outcome().await, @r#"
    Olga by mail, immediate: Your borrower resume for Atlas is 0% complete (project Atlas Atlas)
      {"type": "resume_incomplete_nudge", "user_id": "Olga", "link_url": "/project/workspace/Atlas", "nudge_tier": 1, "project_id": "Atlas", "resume_type": "borrower", "project_name": "Atlas", "resume_type_label": "Borrower", "completion_percent": 0}
    Olga: Your borrower resume for Atlas is 0% complete
      Your borrower resume for **Atlas** is 0% complete. Pick up where you left off.
      /project/workspace/Atlas
      {"type": "resume_incomplete_nudge", "user_id": "Olga", "nudge_tier": 1, "project_id": "Atlas", "resume_type": "borrower", "project_name": "Atlas", "resume_type_label": "Borrower", "completion_percent": 0}
    "#);
}

#[tokio::test]
async fn nudges_are_for_owners_only() {
    let mut stage = Stage::new().await;
    let payload = json!({
        "user_id": stage.gia, "resume_type": "project", "completion_percent": 10, "nudge_tier": 1,
    });
    stage
        .world
        .event("resume_incomplete_nudge")
        .project(stage.atlas)
        .payload(payload)
        .await;
    assert_eq!(stage.outcome().await, "");
}

/// Once per person, project, kind of resume and tier.
#[tokio::test]
async fn nudges_are_sent_once() {
    let mut stage = Stage::new().await;
    let nudge = |resume: &str, tier: i32| json!({"user_id": stage.olga, "resume_type": resume, "completion_percent": 40, "nudge_tier": tier});
    for payload in [
        nudge("project", 1),
        nudge("project", 1),
        nudge("project", 2),
        nudge("borrower", 1),
    ] {
        stage
            .world
            .event("resume_incomplete_nudge")
            .project(stage.atlas)
            .payload(payload)
            .await;
    }
    let report = stage.db.run().await;
    assert_eq!(
        (
            report.events,
            report.notifications,
            report.emails,
            report.suppressed
        ),
        (4, 3, 3, 1)
    );
}

/// The application deletes a nudge's notification to begin anew.
#[tokio::test]
async fn a_nudge_begins_anew_where_its_notification_was_deleted() {
    let mut stage = Stage::new().await;
    stage.nudge().await;
    stage.db.run().await;
    stage.db.execute("DELETE FROM notifications").await;
    let [again, repeated] = [stage.nudge().await, stage.nudge().await];
    let would = stage
        .db
        .cli(&["run", "--dry-run", "--format", "json"])
        .success();
    let would = String::from_utf8_lossy(&would.get_output().stdout).into_owned();
    let would: serde_json::Value =
        serde_json::from_str(would.lines().last().expect("a summary")).expect("JSON");
    let report = stage.db.run().await;
    assert_eq!(
        (report.notifications, report.emails, report.suppressed),
        (1, 1, 1)
    );
    for count in ["notifications", "emails", "suppressed"] {
        assert_eq!(would["would"][count], 1, "{would}");
    }
    let explained = |event: i64| {
        let explained = stage.db.cli(&["explain", &event.to_string()]).success();
        String::from_utf8_lossy(&explained.get_output().stdout).into_owned()
    };
    assert!(explained(again).contains("delivered, unread"));
    assert!(explained(repeated).contains("once per person (notification_once)"));
    stage.nudge().await;
    assert_eq!(stage.db.run().await.notifications, 0);
}

#[tokio::test]
async fn a_nudge_does_not_begin_anew_otherwise() {
    let mut stage = Stage::new().await;
    // It was mailed, and there never was a notification.
    stage
        .world
        .prefers(stage.olga, "global / * / in_app = muted", None)
        .await;
    let first = stage.nudge().await;
    assert_eq!(stage.db.run().await.emails, 1);
    stage
        .db
        .execute("DELETE FROM user_notification_preferences; DELETE FROM pending_emails")
        .await;
    stage.nudge().await;
    stage.db.run().await;
    assert_eq!(stage.db.notified().await, "");
    // The notification went with its event.
    stage
        .db
        .execute(format!(
            "UPDATE notification_once SET ends_with_notification = true;
             DELETE FROM domain_events WHERE id = {first}"
        ))
        .await;
    stage.nudge().await;
    stage.db.run().await;
    assert_eq!(stage.db.notified().await, "");
}

/// Another worker has sent it anew meanwhile.
#[tokio::test]
async fn a_nudge_begins_anew_once() {
    let mut stage = Stage::new().await;
    stage.nudge().await;
    stage.db.run().await;
    stage.db.execute("DELETE FROM notifications").await;
    let [other, _mine] = [stage.nudge().await, stage.nudge().await];
    let hold = stage
        .db
        .hold(&format!(
            "UPDATE notification_processing SET processing_status = 'completed' WHERE event_id = {other};
             UPDATE notification_once SET event_id = {other};
             INSERT INTO notifications (user_id, event_id, title) VALUES ('{}', {other}, 'Anew')",
            stage.olga
        ))
        .await;
    let (report, ()) = tokio::join!(stage.db.run(), async {
        stage.db.until_waiting(1).await;
        hold.release().await;
    });
    assert_eq!(
        (report.events, report.notifications, report.emails),
        (1, 0, 0)
    );
}

/// Another worker writes the same nudge: this one waits for it, and writes its own batch only once.
#[tokio::test]
async fn the_same_nudge_by_two_workers_is_written_once() {
    let mut stage = Stage::new().await;
    let mine = stage.nudge().await;
    let key = format!("resume_incomplete_nudge:{}:project:1", stage.atlas);
    let hold = stage
        .db
        .hold(&format!(
            "INSERT INTO notification_once (user_id, once_key, event_id) VALUES ('{}', '{key}', 0)",
            stage.olga
        ))
        .await;
    let worker = Worker::start(stage.db.binary().env("LOG_LEVEL", "DEBUG"));
    stage.db.until_waiting(1).await;
    hold.release().await;
    let ended = worker.end().await;
    assert!(ended.status.success(), "{ended:?}");
    assert!(
        !ended.stderr.contains("writing the batch again"),
        "{ended:?}"
    );
    let counts = "events=1 notifications=0 merged=0 emails=0 deliveries=0 suppressed=1";
    assert!(ended.stdout.contains(counts), "{ended:?}");
    assert_eq!(stage.db.state(mine).await, "completed 0");
    assert_eq!(stage.db.notified().await, "");
}

/// A person who muted a nudge on both channels was not notified: it is not used up.
#[tokio::test]
async fn a_muted_nudge_is_not_used_up() {
    let mut stage = Stage::new().await;
    stage
        .world
        .prefers(stage.olga, "global / * / * = muted", None)
        .await;
    let payload = json!({
        "user_id": stage.olga, "resume_type": "project", "completion_percent": 40, "nudge_tier": 1,
    });
    stage
        .world
        .event("resume_incomplete_nudge")
        .project(stage.atlas)
        .payload(payload.clone())
        .await;
    stage.db.run().await;
    assert_eq!(stage.db.notified().await, "");

    stage
        .db
        .execute("DELETE FROM user_notification_preferences")
        .await;
    stage
        .world
        .event("resume_incomplete_nudge")
        .project(stage.atlas)
        .payload(payload)
        .await;
    let report = stage.db.run().await;
    assert_eq!((report.notifications, report.emails), (1, 1));
}

#[tokio::test]
async fn invite_accepted() {
    let mut stage = Stage::new().await;
    stage
        .world
        .event("invite_accepted")
        .actor(stage.bo)
        .org(stage.acme)
        .await;
    insta::assert_snapshot!(stage.outcome().await, @r#"
    Olga by mail, immediate: Bo accepted the invitation to Acme
      {"type": "invite_accepted", "org_id": "Acme", "link_url": "/team", "org_name": "Acme", "new_member_id": "Bo", "new_member_name": "Bo", "new_member_email": "bo@example.com"}
    Olga: Bo accepted the invitation to Acme
      **Bo** accepted the invitation to **Acme**.
      /team
      {"type": "invite_accepted", "org_id": "Acme", "org_name": "Acme", "new_member_id": "Bo", "new_member_name": "Bo", "new_member_email": "bo@example.com"}
    Owen by mail, immediate: Bo accepted the invitation to Acme
      {"type": "invite_accepted", "org_id": "Acme", "link_url": "/team", "org_name": "Acme", "new_member_id": "Bo", "new_member_name": "Bo", "new_member_email": "bo@example.com"}
    Owen: Bo accepted the invitation to Acme
      **Bo** accepted the invitation to **Acme**.
      /team
      {"type": "invite_accepted", "org_id": "Acme", "org_name": "Acme", "new_member_id": "Bo", "new_member_name": "Bo", "new_member_email": "bo@example.com"}
    "#);
}

/// The organisation and the new member may stand in the payload; an owner who is the new member
/// is not notified.
#[tokio::test]
async fn invite_accepted_by_an_owner() {
    let mut stage = Stage::new().await;
    let payload = json!({"org_id": stage.acme, "new_member_id": stage.olga});
    stage.world.event("invite_accepted").payload(payload).await;
    stage.outcome().await;
    insta::assert_snapshot!(stage.db.titles().await, @"
    Owen by mail, immediate: Olga accepted the invitation to Acme
    Owen: Olga accepted the invitation to Acme
    ");
}

#[tokio::test]
async fn project_access_granted() {
    let mut stage = Stage::new().await;
    let payload = json!({"affected_user_id": stage.bo, "project_id": stage.atlas});
    stage
        .world
        .event("project_access_granted")
        .actor(stage.ada)
        .payload(payload)
        .await;
    insta::assert_snapshot!(stage.outcome().await, @r#"
    Bo by mail, immediate: Ada gave you view access to Atlas (project Atlas Atlas)
      {"type": "project_access_granted", "actor_id": "Ada", "link_url": "/project/workspace/Atlas", "actor_name": "Ada", "project_id": "Atlas", "project_name": "Atlas", "new_permission": "view"}
    Bo: Ada gave you view access to Atlas
      **Ada** gave you **view** access to **Atlas**.
      /project/workspace/Atlas
      {"type": "project_access_granted", "actor_id": "Ada", "actor_name": "Ada", "project_id": "Atlas", "project_name": "Atlas", "new_permission": "view"}
    "#);
}

#[tokio::test]
async fn the_actor_is_not_notified() {
    let mut stage = Stage::new().await;
    let payload = json!({"invited_user_id": stage.bo});
    let event = stage.world.event("meeting_invited");
    event
        .actor(stage.bo)
        .meeting(stage.kickoff)
        .payload(payload)
        .await;
    assert_eq!(stage.outcome().await, "");
}

#[tokio::test]
async fn a_person_without_a_profile_is_skipped() {
    let mut stage = Stage::new().await;
    let payload = json!({"affected_user_id": Uuid::nil()});
    let event = stage.world.event("project_access_granted");
    event
        .actor(stage.ada)
        .project(stage.atlas)
        .payload(payload)
        .await;
    assert_eq!(stage.outcome().await, "");
}

#[tokio::test]
async fn a_required_key_is_named() {
    let mut stage = Stage::new().await;
    stage
        .world
        .event("meeting_invited")
        .meeting(stage.kickoff)
        .payload(json!({}))
        .await;
    insta::assert_snapshot!(stage.failure().await, @"invalid meeting_invited event: payload.invited_user_id is required");
}
