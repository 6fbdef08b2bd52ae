//! Output and options of the command.

use serde_json::{Value, json};

use super::{Stage, aggregated, counts, counts_of, immediate, prefers, prints, report, start};
use crate::harness::{Worker, binary_at};

#[tokio::test]
async fn a_dry_run_shows_what_a_run_does_and_neither_writes_nor_sends() {
    let stage = Stage::new().await;
    let [bo, cy, di] = stage.db.world().await.users(["Bo", "Cy", "Di"]).await;
    stage.queue(immediate(bo, "at once")).await;
    stage.queue(aggregated(bo, "first")).await;
    stage.queue(aggregated(bo, "second")).await;
    stage.queue(immediate(cy, "muted")).await;
    stage.queue(immediate(di, "muted in the app")).await;
    let hook = stage.endpoint("webhook", "hook").await;
    stage.tell("webhook", hook, &["A node was launched"]).await;
    stage.db.execute(prefers(cy, "*", "*", "muted")).await;
    stage.db.execute(prefers(di, "*", "in_app", "muted")).await;
    let rows = async || (stage.queue_states().await, stage.deliveries().await);
    let before = rows().await;
    let shown = stage.dry_run(stage.command()).await;
    let shown = shown.replace(&stage.outside.address.to_string(), "192.0.2.10:8080");
    insta::assert_snapshot!(shown, @"
    webhook  alert_triggered              to http://192.0.2.10:8080/…      A node was launched
    email    invite_accepted              to b…@example.com                at once
    email    invite_accepted              would be cancelled: the recipient has muted such e-mails
    email    invite_accepted              to d…@example.com                muted in the app
    email    digest                       to b…@example.com                2 updates
    Dry run: nothing was sent or written. A run would send=4 cancel=1 dead=0 wait=0
    ");
    // A mute of the application may cover e-mails.
    let covering = || {
        let mut command = stage.command();
        command.env("NOTIFY_MUTE_COVERS_EMAIL", "true");
        command
    };
    let shown = stage.dry_run(covering()).await;
    assert!(shown.contains("send=3 cancel=2"), "{shown}");
    let ended = start(covering().env("NOTIFY_DELIVERY_DRY_RUN", "true"))
        .end()
        .await;
    let lines = ended.stdout.lines();
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!((lines.len(), &lines[5]["would"]["send"]), (6, &json!(3)));
    assert_eq!(rows().await, before);
    assert_eq!(stage.outside.count(), 0);
    assert_eq!(
        counts(&mut covering()).await,
        "cancelled=2 delivered=3 digests=1 mails=5"
    );
    let nothing = "Nothing is due. (Dry run: nothing was sent or written.)\n";
    assert_eq!(stage.dry_run(stage.command()).await, nothing);
}

#[tokio::test]
async fn a_run_ends_at_its_limits() {
    let stage = Stage::new().await;
    let hook = stage.endpoint("webhook", "hook").await;
    stage.db.queue(hook, 5).await;
    let summary = report(stage.bare().args(["--limit", "2"])).await;
    assert_eq!(counts_of(&summary), "delivered=2");
    assert_eq!(summary["stopped_early"], true);
    assert_eq!(summary["left"], json!({"mails": 0, "deliveries": 3}));
    let printed = prints(stage.bare().args(["--limit", "1"])).await;
    let early = "Ended early. Still due: 2 deliveries";
    assert!(printed.contains(early), "{printed}");
    let ended = start(stage.bare().args(["--limit", "0"])).end().await;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stdout);
    assert!(ended.stderr.contains("must be a whole number from 1"));
    let summary = report(stage.bare().args(["--max-runtime", "1ms"])).await;
    assert_eq!(counts_of(&summary), "");
    assert_eq!(summary["stopped_early"], true);
}

#[tokio::test]
async fn an_exclusive_run_is_the_only_one() {
    let stage = Stage::new().await;
    let another = "SELECT pg_advisory_xact_lock(x'6e6f7469667904'::bigint)";
    let hold = stage.db.hold(another).await;
    let ended = start(stage.bare().arg("--alone")).end().await;
    assert_eq!(ended.status.code(), Some(5), "{}", ended.stderr);
    assert_eq!(stage.deliver_bare().await, "");
    hold.release().await;
    let mut command = stage.bare();
    assert_eq!(
        counts(command.env("NOTIFY_DELIVERY_ALONE", "true")).await,
        ""
    );
}

#[tokio::test]
async fn wrong_settings_send_nothing() {
    let stage = Stage::new().await;
    let hook = stage.endpoint("webhook", "hook").await;
    stage.db.queue(hook, 1).await;
    for (variable, value) in [
        ("NOTIFY_DELIVERY_RETRY_SCHEDULE", "soon"),
        ("NOTIFY_SMTP_URL", "mail.example.com"),
        ("NOTIFY_TWILIO_AUTH_TOKEN", "S3cret"),
        ("NOTIFICATIONS_SLACK_WEBHOOK_URL", "S3cret"),
        ("NOTIFY_SECRET_KEY", "S3cret"),
    ] {
        let ended = start(stage.bare().env(variable, value)).end().await;
        assert_eq!(ended.status.code(), Some(2), "{variable}: {}", ended.stderr);
        assert!(!ended.stderr.contains("S3cret"), "{}", ended.stderr);
    }
    assert_eq!(stage.outside.count(), 0);
    let mut unreachable = binary_at("postgres://localhost:1/none");
    let ended = Worker::start(unreachable.arg("deliver")).end().await;
    assert_eq!(ended.status.code(), Some(4), "{}", ended.stderr);
}
