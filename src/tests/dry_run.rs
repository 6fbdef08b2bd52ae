//! A dry run shows what the real one does, row for row, and cannot write.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{RunCommand as _, Server, TestDatabase, World, binary_at, json_lines};

/// Events of all the application's types and each kind of end, several of which meet in one notification.
async fn every_kind(world: &mut World) {
    let [ada, bo, cy, olga, gia] = world.users(["Ada", "Bo", "Cy", "Olga", "Gia"]).await;
    let [acme, atlas] = world.acme([olga, ada]).await;
    world.grant(atlas, [gia, cy]).await;
    let report = world.document("Report", acme, atlas).await;
    world.permission(report, cy, "none").await;
    let budget = world.thread("Budget", [ada, bo, cy]).await;
    let rent = world.thread("Rent", [ada, gia]).await;
    let kickoff = world.meeting("Kick-off", [ada, bo, cy]).await;
    for (user, rule, scope) in [
        (bo, "global / meeting_updated / * = muted", None),
        (
            gia,
            "project / document_uploaded / email = immediate",
            Some(atlas),
        ),
        (olga, "global / * / in_app = muted", None),
        (olga, "global / invite_accepted / email = digest", None),
    ] {
        world.prefers(user, rule, scope).await;
    }
    for round in 0..3 {
        world.uploaded(report, atlas).actor(ada).await;
        let mentioned = if round == 1 { bo } else { gia };
        let message =
            json!({"preview": format!("Message {round}"), "mentioned_user_ids": [mentioned]});
        let event = world.message(budget).actor(ada).project(atlas);
        event.payload(message).await;
        world.message(budget).actor(cy).await;
        let event = world.message(rent).actor(gia);
        event.payload(json!({"preview": "Rent"})).await;
        let event = world.event("thread_unread_stale").thread(budget);
        let stale = json!({"user_id": bo, "unread_count": 2 + round});
        event.payload(stale).await;
        let event = world.event("meeting_invited").actor(ada).meeting(kickoff);
        event.payload(json!({"invited_user_id": bo})).await;
        world.updated(kickoff).actor(ada).await;
        for (user, hours_ago) in [(ada, 0), (bo, 30)] {
            let event = world.event("meeting_reminder").meeting(kickoff);
            let event = event.hours_ago(hours_ago);
            event.payload(json!({"user_id": user})).await;
        }
        world.nudge(ada, atlas, round / 2).await;
        world.event("invite_accepted").actor(bo).org(acme).await;
        let change =
            json!({"affected_user_id": bo, "old_permission": "view", "new_permission": "edit"});
        for event_type in [
            "project_access_granted",
            "project_access_changed",
            "project_access_revoked",
            "document_permission_granted",
            "document_permission_changed",
        ] {
            let event = world.event(event_type).actor(ada).project(atlas);
            event.document(report).payload(change.clone()).await;
        }
        world.event("meeting_invited").meeting(kickoff).await;
        world.event("moon_landed").await;
    }
    // Some of it is there already, read or not, and somebody else's claim is stuck.
    world
        .execute(format!(
            "INSERT INTO notifications (user_id, event_id, title, body, payload, read_at, coalesce_key, coalesce_count)
             SELECT '{cy}'::uuid, min(id), '4 unread', '4 unread', '{{}}'::jsonb, NULL::timestamptz, 'thread_activity:{budget}', 4 FROM domain_events
             UNION ALL
             SELECT '{ada}', min(id), '4 unread', '4 unread', '{{}}', now(), 'thread_activity:{rent}', 4 FROM domain_events
             UNION ALL
             SELECT '{bo}', min(id), 'Notified before', NULL, '{{}}', now(), NULL, NULL FROM domain_events
              WHERE event_type = 'project_access_granted';
             UPDATE notification_processing SET processing_status = 'processing', claimed_at = now() - interval '1 h',
                    retry_count = CASE WHEN event_id % 2 = 0 THEN 4 ELSE 0 END
              WHERE event_id IN (SELECT id FROM domain_events WHERE event_type = 'project_access_changed')"
        ))
        .await;
}

/// A row that a dry run promises, or that a real run has made, by what tells it apart.
type Rows = BTreeMap<String, Value>;

/// The notifications and mails that the lines of a dry run promise.
fn promised(lines: &[Value]) -> [Rows; 2] {
    let (mut notifications, mut emails) = (Rows::new(), Rows::new());
    for line in lines.iter().filter(|line| line["kind"] == "recipient") {
        let [user, event] = [&line["user_id"], &line["event_id"]];
        if !line["title"].is_null() {
            let row = json!({
                "title": line["title"], "body": line["body"], "link_url": line["link_url"],
                "payload": line["payload"], "count": line["count"],
            });
            // Of what is merged, the last text counts.
            let key = if line["count"].is_null() {
                event.to_string()
            } else {
                line["payload"]["thread_id"].to_string()
            };
            notifications.insert(format!("{user} {key}"), row);
        }
        if !line["subject"].is_null() {
            let row = json!({
                "delivery_type": line["email"], "subject": line["subject"], "body_data": line["body_data"],
            });
            emails.insert(format!("{user} {event}"), row);
        }
    }
    [notifications, emails]
}

/// What a real run has made, besides the notifications that were there before.
async fn made(db: &TestDatabase<'_>) -> [Rows; 2] {
    let notifications = db
        .texts(
            "SELECT jsonb_build_array('\"' || user_id || '\" ' || CASE WHEN coalesce_key IS NULL THEN event_id::text
                    ELSE '\"' || split_part(coalesce_key, ':', 2) || '\"' END,
                jsonb_build_object('title', title, 'body', body, 'link_url', link_url,
                    'payload', payload, 'count', coalesce_count))
               FROM notifications WHERE id > 3 OR updated_at IS NOT NULL",
        )
        .await;
    let emails = db
        .texts(
            "SELECT jsonb_build_array('\"' || user_id || '\" ' || event_id,
                jsonb_build_object('delivery_type', delivery_type, 'subject', subject, 'body_data', body_data))
               FROM pending_emails",
        )
        .await;
    [notifications, emails].map(|rows| {
        let rows = rows.iter().map(|row| serde_json::from_str(row));
        rows.collect::<Result<_, _>>().expect("a key and a row")
    })
}

/// Whatever the size of its batches: notifications are merged over batches that a dry run does not write.
#[tokio::test]
async fn dry_run_says_what_the_real_run_does() {
    let stage = TestDatabase::new().await;
    every_kind(&mut stage.world().await).await;
    for batch_size in ["500", "4", "1"] {
        let db = stage.twin().await;
        let (lines, summary) = db.dry_run(&format!("--batch-size {batch_size}"));
        let mut run = db.binary();
        run.args([
            "run",
            "--workers",
            "1",
            "--format",
            "json",
            "--batch-size",
            batch_size,
        ]);
        let real = run.ends(3).report();

        let (promised, made) = (promised(&lines), made(&db).await);
        assert!(made[0].len() > 20 && made[1].len() > 10);
        for (promised, made) in promised.iter().zip(&made) {
            for (key, row) in made {
                assert_eq!(promised.get(key), Some(row), "{key}");
            }
            assert_eq!(promised.len(), made.len());
        }
        for count in [
            "events",
            "notifications",
            "merged",
            "emails",
            "suppressed",
            "failed",
            "expired",
            "ignored",
            "expired_unhandled",
            "unhandled_types",
        ] {
            assert_eq!(summary["would"][count], real[count], "{count}");
        }

        // Each event has the status that was predicted.
        let events = lines.iter().filter(|line| line["kind"] == "event");
        let mut predicted: Vec<_> = events
            .map(|event| {
                let status = match event["verdict"].as_str() {
                    Some("complete") => "completed",
                    Some("fail") => "failed",
                    _ => "pending",
                };
                format!("{} {status}", event["event_id"])
            })
            .collect();
        predicted.sort();
        let mut states = db
            .texts("SELECT event_id || ' ' || processing_status FROM notification_processing")
            .await;
        states.sort();
        assert_eq!(predicted, states);
    }
}

/// Nothing is left behind, and it waits for no lock. It is the database that refuses to write: here to a rule
/// of the application that would.
#[tokio::test]
async fn dry_run_can_not_write() {
    let db = TestDatabase::new().await;
    every_kind(&mut db.world().await).await;
    let everything = "SELECT md5(string_agg(row::text, ',' ORDER BY row::text)) FROM (
        SELECT to_jsonb(n) FROM notifications n UNION ALL SELECT to_jsonb(m) FROM pending_emails m
        UNION ALL SELECT to_jsonb(p) FROM notification_processing p UNION ALL SELECT to_jsonb(o) FROM notification_once o
        UNION ALL SELECT to_jsonb(last_value) FROM notification_claim_token_seq) AS t (row)";
    let before = db.text(everything).await;
    // Nobody could write now.
    let hold = db
        .hold("LOCK TABLE notifications, pending_emails, notification_processing, notification_once IN SHARE MODE")
        .await;
    db.prints("run --dry-run");
    let mut by_variable = db.binary();
    by_variable.env("NOTIFY_FANOUT_DRY_RUN", "true");
    by_variable.arg("run").prints();
    hold.release().await;
    db.execute(
        "CREATE OR REPLACE FUNCTION can_view(p_user_id uuid, p_resource_id uuid) RETURNS boolean
         LANGUAGE sql SECURITY DEFINER AS $$ DELETE FROM notifications RETURNING true $$",
    )
    .await;
    let shown = db.prints("run --dry-run");
    assert!(shown.contains("read-only transaction"), "{shown}");
    // The refusal of one event hides none of the others.
    assert!(shown.contains("chat_message_sent\n"), "{shown}");
    assert_eq!(db.text(everything).await, before);
}

#[tokio::test]
async fn dry_run_is_text_for_people() {
    let db = TestDatabase::new().await;
    let nothing = db.prints("run --dry-run");
    assert_eq!(nothing, "Nothing is due. (Dry run: nothing was written.)\n");
    let mut world = db.world().await;
    let [ada, bo] = world.users(["Ada", "Bo"]).await;
    let budget = world.thread("Budget", [ada, bo]).await;
    world.message(budget).actor(ada).await;
    world.event("chat_message_sent").await;
    world.event("moon_landed").await;
    let [ada, bo] = [ada, bo].map(|id| id.to_string());
    let output = db.prints("run --dry-run");
    insta::assert_snapshot!(output.replace(&bo, "BO").replace(&ada, "ADA"), @"
    event 1        chat_message_sent
        ADA  app: skipped: actor                e-mail: skipped: actor
        BO  app: delivered                     e-mail: none for this event           1 unread in Budget
    event 2        chat_message_sent  would fail: invalid chat_message_sent event: thread_id is required
    event 3        moon_landed  no handler: would wait
    Dry run: nothing was written. A run would settle events=1 notifications=1 merged=0 emails=0 deliveries=0 suppressed=0 failed=1 expired=0 ignored=0 expired_unhandled=0
    ");
    let (lines, _) = db.dry_run("--limit 2 --batch-size 1");
    let events = lines.iter().filter(|line| line["kind"] == "event");
    assert_eq!(events.count(), 2);
}

/// A hot standby takes no writes at all.
#[tokio::test]
async fn dry_run_works_on_a_standby() {
    let primary = Server::start();
    let db = TestDatabase::on(&primary).await;
    every_kind(&mut db.world().await).await;
    let standby = primary.standby();
    let url = standby.url(db.name());
    let dry_run = ["run", "--dry-run", "--format", "json"];
    let here = json_lines(&binary_at(&url).args(dry_run).prints());
    assert_eq!(here, json_lines(&db.prints(&dry_run.join(" "))));
    let error = binary_at(&url).arg("run").fails(1);
    assert!(error.contains("a standby?"), "{error}");
}
