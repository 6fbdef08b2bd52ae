//! A dry run shows what the real one does, row for row, and cannot write.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Server, TestDatabase, World, binary_at};

/// Events of all thirteen types and each kind of end, several of which meet in one notification.
async fn every_kind(world: &mut World) {
    let [ada, bo, cy, olga, gia] = world.users(["Ada", "Bo", "Cy", "Olga", "Gia"]).await;
    let acme = world.org("Acme", [olga, ada]).await;
    let atlas = world.project("Atlas", acme).await;
    world.grant(atlas, [gia, cy]).await;
    let report = world.document("Report", acme, atlas).await;
    world.permission(report, cy, "none").await;
    let budget = world.thread("Budget", [ada, bo, cy]).await;
    let rent = world.thread("Rent", [ada, gia]).await;
    let kickoff = world.meeting("Kick-off", [ada, bo, cy]).await;
    world
        .prefers(bo, "global / meeting_updated / * = muted", None)
        .await;
    world
        .prefers(
            gia,
            "project / document_uploaded / email = immediate",
            Some(atlas),
        )
        .await;
    world
        .prefers(olga, "global / * / in_app = muted", None)
        .await;
    world
        .prefers(olga, "global / invite_accepted / email = digest", None)
        .await;

    for round in 0..3 {
        world
            .event("document_uploaded")
            .actor(ada)
            .project(atlas)
            .document(report)
            .await;
        let message = json!({"preview": format!("Message {round}"), "mentioned_user_ids": [if round == 1 { bo } else { gia }]});
        world
            .event("chat_message_sent")
            .actor(ada)
            .project(atlas)
            .thread(budget)
            .payload(message)
            .await;
        world
            .event("chat_message_sent")
            .actor(cy)
            .thread(budget)
            .await;
        world
            .event("chat_message_sent")
            .actor(gia)
            .thread(rent)
            .payload(json!({"preview": "Rent"}))
            .await;
        let stale = json!({"user_id": bo, "unread_count": 2 + round});
        world
            .event("thread_unread_stale")
            .thread(budget)
            .payload(stale)
            .await;
        world
            .event("meeting_invited")
            .actor(ada)
            .meeting(kickoff)
            .payload(json!({"invited_user_id": bo}))
            .await;
        world
            .event("meeting_updated")
            .actor(ada)
            .meeting(kickoff)
            .await;
        world
            .event("meeting_reminder")
            .meeting(kickoff)
            .payload(json!({"user_id": ada}))
            .await;
        let nudge = json!({"user_id": ada, "resume_type": "project", "completion_percent": 5, "nudge_tier": round / 2});
        world
            .event("resume_incomplete_nudge")
            .project(atlas)
            .payload(nudge)
            .await;
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
            let event = world
                .event(event_type)
                .actor(ada)
                .project(atlas)
                .document(report);
            event.payload(change.clone()).await;
        }
        world.event("meeting_invited").meeting(kickoff).await;
        world.event("moon_landed").await;
        world
            .event("meeting_reminder")
            .meeting(kickoff)
            .payload(json!({"user_id": bo}))
            .hours_ago(30)
            .await;
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

fn lines(output: &[u8]) -> Vec<Value> {
    String::from_utf8_lossy(output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// A row that a dry run promises, or that a real run has made, by what tells it apart.
type Rows = BTreeMap<String, Value>;

/// What the lines of a dry run promise.
fn promised(lines: &[Value]) -> (Rows, Rows) {
    let (mut notifications, mut emails) = (Rows::new(), Rows::new());
    for line in lines.iter().filter(|line| line["kind"] == "recipient") {
        let [user, event] = [&line["user_id"], &line["event_id"]];
        if !line["title"].is_null() {
            let row = json!({
                "title": line["title"], "body": line["body"], "link_url": line["link_url"],
                "payload": line["payload"], "count": line["count"],
            });
            // Of what is merged, the last word counts.
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
    (notifications, emails)
}

/// What a real run has made.
async fn made(db: &TestDatabase<'_>, notifications_before: u64) -> (Rows, Rows) {
    let parse = |rows: Vec<String>| -> Rows {
        let rows = rows.into_iter().map(|row| {
            let row: Value = serde_json::from_str(&row).expect("JSON");
            (
                row["key"].as_str().expect("a key").to_owned(),
                row["row"].clone(),
            )
        });
        rows.collect()
    };
    let notifications = db
        .texts(&format!(
            "SELECT jsonb_build_object(
                'key', '\"' || user_id || '\" ' || CASE WHEN coalesce_key IS NULL THEN event_id::text
                    ELSE '\"' || split_part(coalesce_key, ':', 2) || '\"' END,
                'row', jsonb_build_object('title', title, 'body', body, 'link_url', link_url,
                    'payload', payload, 'count', coalesce_count))
               FROM notifications WHERE id > {notifications_before} OR updated_at IS NOT NULL"
        ))
        .await;
    let emails = db
        .texts(
            "SELECT jsonb_build_object('key', '\"' || user_id || '\" ' || event_id,
                'row', jsonb_build_object('delivery_type', delivery_type, 'subject', subject, 'body_data', body_data))
               FROM pending_emails",
        )
        .await;
    (parse(notifications), parse(emails))
}

async fn compare(batch_size: &str) {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    every_kind(&mut world).await;
    let arguments = ["run", "--format", "json", "--batch-size", batch_size];
    let dry = db.cli(&[&arguments[..], &["--dry-run"]].concat()).success();
    let dry = lines(&dry.get_output().stdout);
    let (summary, dry) = dry.split_last().expect("a summary");
    let real = db.cli(&arguments).code(3);
    let real = lines(&real.get_output().stdout).remove(0);

    let (promised_notifications, promised_emails) = promised(dry);
    let (made_notifications, made_emails) = made(&db, 3).await;
    assert!(made_notifications.len() > 20 && made_emails.len() > 10);
    for (key, row) in &made_notifications {
        assert_eq!(promised_notifications.get(key), Some(row), "{key}");
    }
    assert_eq!(promised_notifications, made_notifications);
    assert_eq!(promised_emails, made_emails);
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
    let mut dispositions = BTreeMap::new();
    for event in dry.iter().filter(|line| line["kind"] == "event") {
        let step = match event["verdict"].as_str() {
            Some("complete") => "completed",
            Some("fail") => "failed",
            _ => "pending",
        };
        dispositions.insert(event["event_id"].to_string(), step.to_owned());
    }
    let states = db
        .texts("SELECT event_id || ' ' || processing_status FROM notification_processing")
        .await;
    let states: BTreeMap<_, _> = states
        .iter()
        .map(|state| state.split_once(' ').expect("two words"))
        .map(|(event, status)| (event.to_owned(), status.to_owned()))
        .collect();
    assert_eq!(dispositions, states);
}

#[tokio::test]
async fn says_what_the_real_run_does() {
    compare("500").await;
}

/// Notifications are merged over batches that a dry run does not write.
#[tokio::test]
async fn says_what_the_real_run_does_in_small_batches() {
    compare("4").await;
}

#[tokio::test]
async fn says_what_the_real_run_does_one_by_one() {
    compare("1").await;
}

/// Whatever is read can be locked against writing, and nothing is left behind.
#[tokio::test]
async fn writes_nothing() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    every_kind(&mut world).await;
    let everything = "SELECT md5(string_agg(row::text, ',' ORDER BY row::text)) FROM (
        SELECT to_jsonb(n) FROM notifications n UNION ALL SELECT to_jsonb(m) FROM pending_emails m
        UNION ALL SELECT to_jsonb(p) FROM notification_processing p UNION ALL SELECT to_jsonb(o) FROM notification_once o
        UNION ALL SELECT to_jsonb(last_value) FROM notification_claim_token_seq) AS t (row)";
    let before = db.text(everything).await;
    // Nobody could write now.
    let hold = db
        .hold("LOCK TABLE notifications, pending_emails, notification_processing, notification_once IN SHARE MODE")
        .await;
    db.cli(&["run", "--dry-run"]).success();
    let mut command = db.binary();
    command.arg("run").env("NOTIFY_FANOUT_DRY_RUN", "true");
    assert_cmd::Command::from_std(command).assert().success();
    hold.release().await;
    assert_eq!(db.text(everything).await, before);
}

/// It is the database that refuses: here to a rule of the application that would write.
#[tokio::test]
async fn cannot_write() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    every_kind(&mut world).await;
    db.execute(
        "CREATE OR REPLACE FUNCTION can_view(p_user_id uuid, p_resource_id uuid) RETURNS boolean
         LANGUAGE sql SECURITY DEFINER AS $$ DELETE FROM notifications RETURNING true $$",
    )
    .await;
    let run = db.cli(&["run", "--dry-run"]).success();
    let shown = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    assert!(shown.contains("read-only transaction"), "{shown}");
    // The refusal of one event hides none of the others.
    assert!(shown.contains("chat_message_sent\n"), "{shown}");
    assert_eq!(db.count("notifications").await, 3);
}

/// A role that may only read.
#[tokio::test]
async fn a_role_that_only_reads_may_do_a_dry_run() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    every_kind(&mut world).await;
    db.execute(
        "DO $$ BEGIN CREATE ROLE nfo_test_reader LOGIN;
         EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO nfo_test_reader;
         GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO nfo_test_reader",
    )
    .await;
    let arguments = ["run", "--dry-run", "--format", "json"];
    let expected = db.cli(&arguments).success();
    let mut command = binary_at(&Server::shared().url_as("nfo_test_reader", db.name()));
    command.args(arguments);
    let run = assert_cmd::Command::from_std(command).assert().success();
    assert_eq!(
        lines(&run.get_output().stdout),
        lines(&expected.get_output().stdout)
    );
    let mut command = binary_at(&Server::shared().url_as("nfo_test_reader", db.name()));
    command.arg("run");
    assert_cmd::Command::from_std(command).assert().code(1);
}

/// What a person reads.
#[tokio::test]
async fn as_text() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let [ada, bo] = world.users(["Ada", "Bo"]).await;
    let budget = world.thread("Budget", [ada, bo]).await;
    world
        .event("chat_message_sent")
        .actor(ada)
        .thread(budget)
        .await;
    world.event("chat_message_sent").await;
    world.event("moon_landed").await;
    let run = db.cli(&["run", "--dry-run"]).success();
    let output = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    insta::assert_snapshot!(output.replace(&bo.to_string(), "BO").replace(&ada.to_string(), "ADA"), @"
    event 1        chat_message_sent
        ADA  app: skipped: actor                e-mail: skipped: actor
        BO  app: delivered                     e-mail: none for this event           1 unread in Budget
    event 2        chat_message_sent  would fail: invalid chat_message_sent event: thread_id is required
    event 3        moon_landed  no handler: would wait
    Dry run: nothing was written. A run would settle events=1 notifications=1 merged=0 emails=0 deliveries=0 suppressed=0 failed=1 expired=0 ignored=0 expired_unhandled=0
    ");
}

#[tokio::test]
async fn nothing_is_due() {
    let db = TestDatabase::new().await;
    let run = db.cli(&["run", "--dry-run"]).success();
    insta::assert_snapshot!(String::from_utf8_lossy(&run.get_output().stdout), @"Nothing is due. (Dry run: nothing was written.)");
}

/// No more than asked for.
#[tokio::test]
async fn limit() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    every_kind(&mut world).await;
    let run = db
        .cli(&[
            "run",
            "--dry-run",
            "--format",
            "json",
            "--limit",
            "7",
            "--batch-size",
            "3",
        ])
        .success();
    let lines = lines(&run.get_output().stdout);
    assert_eq!(
        lines.iter().filter(|line| line["kind"] == "event").count(),
        7
    );
}

/// A hot standby takes no writes at all.
#[tokio::test]
async fn on_a_standby() {
    let primary = Server::start();
    let db = TestDatabase::on(&primary).await;
    let mut world = db.world().await;
    every_kind(&mut world).await;
    let standby = primary.standby();
    let here = binary_at(&standby.url(db.name()))
        .args(["run", "--dry-run", "--format", "json"])
        .output()
        .expect("output");
    assert!(here.status.success(), "{here:?}");
    let there = db.cli(&["run", "--dry-run", "--format", "json"]).success();
    assert_eq!(lines(&here.stdout), lines(&there.get_output().stdout));
    let run = binary_at(&standby.url(db.name()))
        .arg("run")
        .output()
        .expect("output");
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    assert!(
        String::from_utf8_lossy(&run.stderr).contains("a standby?"),
        "{run:?}"
    );
}
