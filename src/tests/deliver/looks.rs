//! Output and options of the command.

use serde_json::{Value, json};

use super::{Stage, aggregated, counts, immediate, report};
use crate::harness::{Worker, binary_at};

/// As when it was queued, with the preferences of now.
#[tokio::test]
async fn a_mute_of_the_app_may_cover_mails() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    stage.queue(immediate(bo, "muted since")).await;
    let mute = format!(
        "INSERT INTO user_notification_preferences (user_id, scope_type, event_type, channel, status)
         VALUES ('{bo}', 'global', '*', 'in_app', 'muted')"
    );
    stage.db.execute(mute).await;
    for (covers, summary) in [
        (
            "true",
            "would be cancelled: the recipient has muted such e-mails",
        ),
        ("false", "to b…@example.com"),
    ] {
        let mut command = stage.command();
        command
            .arg("--dry-run")
            .env("NOTIFY_MUTE_COVERS_EMAIL", covers);
        let ended = Worker::start(&mut command).end().await;
        assert!(ended.stdout.contains(summary), "{}", ended.stdout);
    }
}

#[tokio::test]
async fn a_dry_run_tells_what_a_run_does_and_can_neither_write_nor_send() {
    let stage = Stage::new().await;
    let [bo, cy] = stage.db.world().await.users(["Bo", "Cy"]).await;
    stage.queue(immediate(bo, "at once")).await;
    stage.queue(aggregated(bo, "first")).await;
    stage.queue(aggregated(bo, "second")).await;
    stage.queue(immediate(cy, "muted")).await;
    let hook = stage.endpoint("hook", "webhook").await;
    stage.tell(hook, "A node was launched").await;
    stage
        .db
        .execute(format!(
            "INSERT INTO user_notification_preferences (user_id, scope_type, event_type, channel, status)
             VALUES ('{cy}', 'global', '*', '*', 'muted')"
        ))
        .await;
    let dump = || async {
        let mut rows = stage.queue_states().await;
        rows.extend(stage.deliveries().await);
        rows
    };
    let before = dump().await;
    let ended = Worker::start(stage.command().arg("--dry-run")).end().await;
    assert!(ended.status.success(), "{}", ended.stderr);
    let summary = ended
        .stdout
        .replace(&stage.outside.address.to_string(), "192.0.2.10:8080");
    insta::assert_snapshot!(summary, @"
    webhook  node_launched                to http://192.0.2.10:8080/…      A node was launched
    email    invite_accepted              to b…@example.com                at once
    email    invite_accepted              would be cancelled: the recipient has muted such e-mails
    email    digest                       to b…@example.com                2 updates
    Dry run: nothing was sent or written. A run would send=3 cancel=1 dead=0 wait=0
    ");
    let mut json = stage.command();
    json.args(["--dry-run", "--format", "json"]);
    let ended = Worker::start(&mut json).end().await;
    let lines: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[4]["would"]["send"], 3);
    let by_variable = Worker::start(stage.command().env("NOTIFY_DELIVERY_DRY_RUN", "true"))
        .end()
        .await;
    assert!(by_variable.stdout.contains("Dry run"));
    assert_eq!(dump().await, before);
    assert!(stage.outside.requests().is_empty());
    assert_eq!(
        counts(&stage.deliver().await),
        "cancelled=1 delivered=3 digests=1 mails=4"
    );
    let ended = Worker::start(stage.command().arg("--dry-run")).end().await;
    assert_eq!(
        ended.stdout,
        "Nothing is due. (Dry run: nothing was sent or written.)\n"
    );
}

#[tokio::test]
async fn limits() {
    let stage = Stage::new().await;
    let hook = stage.endpoint("hook", "webhook").await;
    for title in ["one", "two", "three", "four", "five"] {
        stage.tell(hook, title).await;
    }
    let mut command = stage.bare();
    command.args(["--format", "json", "--limit", "2"]);
    let summary = report(&mut command).await;
    assert_eq!(counts(&summary), "delivered=2");
    assert_eq!(summary["stopped_early"], true);
    assert_eq!(summary["left"], json!({"mails": 0, "deliveries": 3}));
    let ended = Worker::start(stage.bare().args(["--limit", "1"]))
        .end()
        .await;
    assert!(
        ended
            .stdout
            .contains("Ended early. Still due: 2 deliveries"),
        "{}",
        ended.stdout
    );
    let ended = Worker::start(stage.bare().args(["--limit", "0"]))
        .end()
        .await;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stdout);
    assert!(ended.stderr.contains("must be a whole number from 1"));
    let mut command = stage.bare();
    command.args(["--format", "json", "--max-runtime", "1ms"]);
    let summary = report(&mut command).await;
    assert_eq!(
        (counts(&summary), &summary["stopped_early"]),
        (String::new(), &Value::Bool(true))
    );
}

#[tokio::test]
async fn one_that_wants_to_be_alone() {
    let stage = Stage::new().await;
    let hold = stage
        .db
        .hold("SELECT pg_advisory_xact_lock(x'6e6f7469667904'::bigint)")
        .await;
    let ended = Worker::start(stage.bare().arg("--alone")).end().await;
    assert_eq!(ended.status.code(), Some(5), "{}", ended.stderr);
    assert!(
        Worker::start(&mut stage.bare())
            .end()
            .await
            .status
            .success()
    );
    hold.release().await;
    let ended = Worker::start(stage.bare().env("NOTIFY_DELIVERY_ALONE", "true"))
        .end()
        .await;
    assert!(ended.status.success(), "{}", ended.stderr);
}

#[tokio::test]
async fn wrong_settings_send_nothing() {
    let stage = Stage::new().await;
    let hook = stage.endpoint("hook", "webhook").await;
    stage.tell(hook, "one").await;
    for (variable, value) in [
        ("NOTIFY_DELIVERY_CONCURRENCY", "0"),
        ("NOTIFY_DELIVERY_RETRY_SCHEDULE", "soon"),
        ("NOTIFY_DIGEST_EVERY", "7h"),
        ("NOTIFY_SMTP_URL", "mail.example.com"),
        ("NOTIFY_TWILIO_AUTH_TOKEN", "S3cret"),
        ("NOTIFICATIONS_SLACK_WEBHOOK_URL", "S3cret"),
        ("NOTIFY_SECRET_KEY", "S3cret"),
    ] {
        let ended = Worker::start(stage.bare().env(variable, value)).end().await;
        assert_eq!(ended.status.code(), Some(2), "{variable}: {}", ended.stderr);
        assert!(!ended.stderr.contains("S3cret"), "{}", ended.stderr);
    }
    assert!(stage.outside.requests().is_empty());
    let ended = Worker::start(binary_at("postgres://localhost:1/none").arg("deliver"))
        .end()
        .await;
    assert_eq!(ended.status.code(), Some(4), "{}", ended.stderr);
}
