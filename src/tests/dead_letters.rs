//! `dead-letters`: a dead letter stays until a person retries or discards it.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Delivery, TestDatabase, Worker, binary_at};

/// Five dead letters of every kind, and some of everything that is none.
struct Stage {
    db: TestDatabase<'static>,
    bo: Uuid,
    event: i64,
    billing: Uuid,
    /// Mail, webhook, Slack, text message, digest.
    letters: [i64; 5],
}

impl Stage {
    async fn new() -> Self {
        let db = TestDatabase::new().await;
        let mut world = db.world().await;
        let bo = world.user("Bo").await;
        let event = world.event("invite_accepted").await;
        let billing = db.endpoint("webhook", "billing").await;
        let texts = db.endpoint("sms", "on call").await;
        let mail = Delivery::mail(bo).event_type("invite_accepted").of(event);
        let letters = [
            mail.ended("dead", 1, "550: no such user b…@example.com")
                .with("code", "'550'"),
            Delivery::endpoint("webhook", billing)
                .ended("dead", 30, "503: 100% busy at C:\\hooks")
                .with("code", "'unavailable'")
                .with(
                    "message",
                    r#"'{"title": "Payment failed", "text": "Card declined.\nSecond time.",
                         "fields": [{"name": "Amount", "value": "€12.00"}], "severity": "warning",
                         "link_url": "/billing", "data": {}}'"#,
                ),
            Delivery::route("slack").event_type("payment_failed").ended(
                "dead",
                80,
                "404: channel_not_found",
            ),
            Delivery::endpoint("sms", texts)
                .with("message", r#"'{"title": "Margin call"}'"#)
                .ended("uncertain", 3, "the connection broke after all was sent"),
            Delivery::mail(bo)
                .event_type("digest")
                .with("digest_window", "'2026-01-02T03:00:00Z'")
                .ended("uncertain", 50, "the connection broke after DATA"),
        ];
        let mut ids = Vec::new();
        for letter in letters {
            ids.push(db.delivery(letter).await);
        }
        for (status, attempts) in [("pending", 0), ("pending", 2), ("sending", 1)] {
            db.delivery(Delivery::endpoint("webhook", billing).status(status, attempts))
                .await;
        }
        for status in ["delivered", "cancelled"] {
            db.delivery(Delivery::endpoint("webhook", billing).ended(status, 30, "503"))
                .await;
        }
        Self {
            db,
            bo,
            event,
            billing,
            letters: ids.try_into().expect("five"),
        }
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [&["dead-letters"], arguments, &["--format", "json"]].concat();
        let assert = self.db.cli(&arguments).success();
        serde_json::from_slice(&assert.get_output().stdout).expect("JSON")
    }

    fn text(&self, arguments: &[&str]) -> String {
        let assert = self
            .db
            .cli(&[&["dead-letters"], arguments].concat())
            .success();
        String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
    }

    /// Which of the letters a filter finds, by their places; the same for `list`, `retry` and
    /// `discard`.
    fn found(&self, filter: &[&str]) -> Vec<usize> {
        let listed = self.json(&[&["list"], filter].concat());
        let place = |letter: &Value| {
            let of_id = |id: &i64| json!(*id) == letter["id"];
            self.letters.iter().position(of_id).expect("a dead letter")
        };
        let letters = listed["dead_letters"].as_array().expect("a list");
        let mut places: Vec<_> = letters.iter().map(place).collect();
        places.sort_unstable();
        assert_eq!(listed["matching_count"], places.len());
        if !filter.is_empty() {
            for action in ["retry", "discard"] {
                let would = self.json(&[&[action, "--dry-run"], filter].concat());
                assert_eq!(
                    would["deliveries_count"],
                    places.len(),
                    "{action} {filter:?}"
                );
            }
        }
        places
    }

    /// Identifier, status and attempts of all that are not as they were put there.
    async fn rows(&self) -> Vec<String> {
        self.db
            .texts("SELECT concat_ws(' ', id, status, attempts, code, reason) FROM notification_deliveries ORDER BY id")
            .await
    }
}

#[tokio::test]
async fn filters_narrow_each_other() {
    let stage = Stage::new().await;
    let found = |filter: &[&str]| stage.found(filter);
    assert_eq!(found(&[]), [0, 1, 2, 3, 4]);
    assert_eq!(found(&["--channel", "email"]), [0, 4]);
    assert_eq!(found(&["--channel", "slack", "--channel", "sms"]), [2, 3]);
    assert_eq!(found(&["--type", "digest"]), [4]);
    assert_eq!(
        found(&["--type", "alert_triggered", "--type", "payment_failed"]),
        [1, 2, 3]
    );
    assert_eq!(found(&["--type", "alert.triggered"]), [1, 3]);
    assert_eq!(found(&["--status", "dead"]), [0, 1, 2]);
    assert_eq!(found(&["--status", "uncertain"]), [3, 4]);
    assert_eq!(found(&["--status", "uncertain", "--channel", "email"]), [4]);
    // Letter by letter, in reason or code.
    assert_eq!(found(&["--error", "connection broke"]), [3, 4]);
    assert_eq!(found(&["--error", "unavailable"]), [1]);
    assert_eq!(found(&["--error", "100% busy at C:\\hooks"]), [1]);
    assert_eq!(found(&["--error", "1_0%"]), Vec::<usize>::new());
    assert_eq!(found(&["--error", "503: … busy"]), [1]);
    // From its end.
    assert_eq!(found(&["--age", "2h"]), [1, 2, 3, 4]);
    assert_eq!(found(&["--older-than", "2d"]), [2, 4]);
    assert_eq!(found(&["--newer-than", "2d"]), [0, 1, 3]);
    assert_eq!(found(&["--age", "2h", "--newer-than", "2d"]), [1, 3]);
    // By any name.
    let billing = stage.billing.to_string();
    for name in ["billing", &billing, &format!("endpoint:{billing}")] {
        assert_eq!(found(&["--target", name]), [1]);
    }
    assert_eq!(
        found(&["--endpoint", "on call", "--target", "env:slack"]),
        [2, 3]
    );
    assert_eq!(found(&["--target", "email"]), [0, 4]);
    assert_eq!(found(&["--target", &stage.bo.to_string()]), [0, 4]);
    let [mail, webhook, ..] = stage.letters.map(|id| id.to_string());
    assert_eq!(found(&[&mail]), [0]);
    assert_eq!(
        found(&["--id", &mail, "--id", &webhook, "--channel", "webhook"]),
        [1]
    );
}

#[tokio::test]
async fn a_bulk_action_says_which() {
    let stage = Stage::new().await;
    let before = stage.rows().await;
    for action in ["retry", "discard"] {
        for arguments in [
            &[action][..],
            &[action, "--dry-run"],
            &[action, "--error", " … "],
            &[action, "--channel", "fax"],
            &[action, "--status", "pending"],
            &[action, "--age", "2"],
            &[action, "--all"],
        ] {
            let refused = stage
                .db
                .cli(&[&["dead-letters"], arguments].concat())
                .code(2);
            let output = refused.get_output();
            assert!(output.stdout.is_empty());
            if arguments.len() < 3 && !arguments.contains(&"--all") {
                let error = String::from_utf8_lossy(&output.stderr);
                assert!(error.contains("which dead letters?"), "{error}");
            }
        }
    }
    stage.db.cli(&["dead-letters"]).code(2);
    stage
        .db
        .cli(&["dead-letters", "list", "--limit", "0"])
        .code(2);
    assert_eq!(stage.rows().await, before);
}

#[tokio::test]
async fn a_retried_one_starts_afresh() {
    let stage = Stage::new().await;
    let [mail, webhook, _, _, digest] = stage.letters;
    stage
        .db
        .queued_mail(stage.event, stage.bo, "failed", Some(mail))
        .await;
    let mut world = stage.db.world().await;
    for (reason, processed) in [
        ("uncertain: the connection broke", "now()"),
        ("cancelled: read meanwhile", "now()"),
    ] {
        let event = world.event("invite_accepted").await;
        stage
            .db
            .queued_mail(event, stage.bo, "failed", Some(digest))
            .await;
        stage
            .db
            .execute(format!(
                "UPDATE pending_emails SET status_reason = '{reason}', processed_at = {processed} WHERE event_id = {event}"
            ))
            .await;
    }
    let [mail_id, webhook_id, digest_id] = [mail, webhook, digest].map(|id| id.to_string());
    let report = stage.json(&[
        "retry",
        &mail_id,
        &webhook_id,
        "--id",
        &digest_id,
        "6",
        "9",
        "999",
    ]);
    assert_eq!(
        report,
        json!({
            "action": "retry", "dry_run": false, "deliveries_count": 3,
            "deliveries_count_by_channel": {"email": 2, "webhook": 1},
            "uncertain_count": 1, "to_disabled_count": 0, "emails_count": 2,
            "not_touched": [
                {"delivery_id": 6, "state": "pending"},
                {"delivery_id": 9, "state": "delivered"},
                {"delivery_id": 999, "state": "no_such_delivery"},
            ],
            "stopped_early": false,
        })
    );
    let rows = stage
        .db
        .texts(
            "SELECT concat_ws(' ', id, status, attempts, next_attempt_at <= now(), finished_at, lease_token, code, reason)
               FROM notification_deliveries WHERE id <= 5 ORDER BY id",
        )
        .await;
    assert_eq!(
        rows[0],
        "1 pending 0 t 550 550: no such user b…@example.com"
    );
    assert_eq!(
        rows[1],
        "2 pending 0 t unavailable 503: 100% busy at C:\\hooks"
    );
    assert!(rows[2].starts_with("3 dead 6 t 20"), "{rows:?}");
    assert_eq!(rows[4], "5 pending 0 t the connection broke after DATA");
    // What was left out of a digest for reasons of its own stays out.
    let mails = stage
        .db
        .texts("SELECT concat_ws(' ', delivery_id, status, status_reason, processed_at IS NULL) FROM pending_emails ORDER BY id")
        .await;
    assert_eq!(
        mails,
        [
            "1 processing t",
            "5 processing t",
            "5 failed cancelled: read meanwhile f"
        ]
    );
    let text = stage.text(&["retry", &mail_id, "--channel", "slack", "--status", "dead"]);
    insta::assert_snapshot!(text, @"
    No dead letter matches; nothing was changed.
    Not touched: 1 (pending already: sent when it is due)
    ");
}

#[tokio::test]
async fn what_may_arrive_twice_or_not_at_all_is_named() {
    let stage = Stage::new().await;
    stage
        .db
        .execute(
            "UPDATE notification_endpoints SET enabled = false WHERE name = 'billing';
             INSERT INTO notification_delivery_targets (target, disabled_reason) VALUES ('env:slack', '404: no_team')",
        )
        .await;
    let would = stage.text(&["retry", "--age", "1m", "--dry-run"]);
    insta::assert_snapshot!(would, @"
    Would requeue 5 dead letters (nothing was changed):
      email    2
      slack    1
      sms      1
      webhook  1
    2 of these may have arrived already, and would then arrive twice.
    2 of these: the endpoint is disabled or removed. Unless it is enabled first, the delivery is cancelled.
    ");
    let did = stage.text(&["retry", "--age", "1m"]);
    assert_eq!(
        would.lines().skip(1).collect::<Vec<_>>(),
        did.lines().skip(1).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_discarded_one_ends_with_its_reason() {
    let stage = Stage::new().await;
    let [mail, ..] = stage.letters;
    stage
        .db
        .queued_mail(stage.event, stage.bo, "processing", Some(mail))
        .await;
    let report = stage.json(&["discard", "--channel", "email", "--status", "dead"]);
    assert_eq!(
        (&report["deliveries_count"], &report["emails_count"]),
        (&json!(1), &json!(1))
    );
    insta::assert_snapshot!(stage.rows().await[0], @"1 cancelled 6 discarded discarded manually; it was dead: 550: no such user b…@example.com");
    let mail = stage
        .db
        .text("SELECT status || ', ' || status_reason FROM pending_emails WHERE processed_at <= now()")
        .await;
    insta::assert_snapshot!(mail, @"failed, cancelled: discarded manually; it was dead: 550: no such user b…@example.com");
    assert_eq!(stage.found(&[]), [1, 2, 3, 4]);
    let again = stage.text(&["discard", "1"]);
    insta::assert_snapshot!(again, @"
    No dead letter matches; nothing was changed.
    Not touched: 1 (cancelled or discarded)
    ");
}

#[tokio::test]
async fn a_dry_run_cannot_write_and_readers_may_look() {
    let stage = Stage::new().await;
    let before = stage.rows().await;
    stage
        .db
        .execute(format!(
            "ALTER DATABASE {} SET default_transaction_read_only = on",
            stage.db.name()
        ))
        .await;
    for arguments in [
        &["list"][..],
        &["show", "1"],
        &["retry", "--dry-run", "--age", "1s"],
        &["discard", "--dry-run", "--age", "1s"],
    ] {
        stage.text(arguments);
    }
    assert_eq!(stage.rows().await, before);
}

#[tokio::test]
async fn two_at_once_share_the_work() {
    let stage = Stage::new().await;
    stage
        .db
        .execute(
            "INSERT INTO notification_deliveries (channel, target, recipient, event_type, status, attempts, finished_at, reason)
             SELECT 'webhook', 'x', 'x', 'y', 'dead', 6, now(), 'too many' FROM generate_series(1, 2500)",
        )
        .await;
    let start = |action: &str| {
        let mut command = binary_at(&stage.db.url());
        command.args([
            "dead-letters",
            action,
            "--error",
            "too many",
            "--format",
            "json",
        ]);
        Worker::start(&mut command)
    };
    let mut counts = Vec::new();
    for worker in [start("retry"), start("discard"), start("retry")] {
        let ended = worker.end().await;
        assert!(ended.status.success(), "{}", ended.stderr);
        counts.push(
            ended.report()["deliveries_count"]
                .as_u64()
                .expect("a count"),
        );
    }
    // What one requeued is not a dead letter to the other.
    assert_eq!(counts.iter().sum::<u64>(), 2_500);
    let left = stage
        .db
        .texts("SELECT status || ' ' || count(*) FROM notification_deliveries WHERE reason LIKE '%too many' GROUP BY status ORDER BY 1")
        .await;
    let mut expected = Vec::new();
    for (status, count) in [("cancelled", counts[1]), ("pending", counts[0] + counts[2])] {
        if count > 0 {
            expected.push(format!("{status} {count}"));
        }
    }
    assert_eq!(left, expected);
}

#[tokio::test]
async fn one_is_shown_with_all_that_was_tried() {
    let stage = Stage::new().await;
    let [mail, webhook, ..] = stage.letters;
    stage
        .db
        .attempt(webhook, 1, "retry", "503 Service Unavailable")
        .await;
    stage.db.attempt(webhook, 2, "lost", "").await;
    stage
        .db
        .queued_mail(stage.event, stage.bo, "failed", Some(mail))
        .await;
    // Its key and its times are its own.
    let shown = |id: i64| {
        let text = stage.text(&["show", &id.to_string()]);
        let lines = text
            .lines()
            .filter(|line| !line.starts_with("  key") && !line.starts_with("  queued"));
        let cut = lines.map(|line| match line.split_once(" 202") {
            Some((head, _)) if line.starts_with("  status") || line.starts_with("  event") => head,
            _ => line,
        });
        cut.collect::<Vec<_>>()
            .join("\n")
            .replace(&stage.bo.to_string(), "BO")
            .replace(&stage.billing.to_string(), "BILLING")
    };
    insta::assert_snapshot!(shown(webhook), @r"
    delivery 2  alert_triggered
      status    dead
      channel   webhook
      to        billing (webhook.example.com/…)
      recipient endpoint:BILLING
      target    endpoint:BILLING
      event     none
      reason    503: 100% busy at C:\hooks
      code      unavailable

    Payment failed
      Card declined.
      Second time.
      Amount: €12.00
      /billing

    Attempts:
      1  2026-01-02 03:05:05 UTC    0.2s  retry      503  unavailable  503 Service Unavailable
        │ try later
      2  2026-01-02 03:06:05 UTC    0.2s  lost       503  unavailable
        │ try later
    ");
    insta::assert_snapshot!(shown(mail), @"
    delivery 1  invite_accepted
      status    dead
      channel   email
      to        b…@example.com
      recipient user:BO
      target    email
      event     1, of
      reason    550: no such user b…@example.com
      code      550

    E-mails in it:
      Ada accepted (invite_accepted, event 1, failed)

    Nothing was attempted.
    ");
    let document = stage.json(&["show", &webhook.to_string()]);
    assert_eq!(document["attempts"][0]["duration_milliseconds"], 250);
    assert_eq!(document["attempts"][1]["outcome"], "lost");
    assert_eq!(document["message"]["title"], "Payment failed");
    stage.db.cli(&["dead-letters", "show", "999"]).code(1);
}

#[tokio::test]
async fn a_list_is_cut_and_ordered() {
    let stage = Stage::new().await;
    let ids = |arguments: &[&str]| -> Vec<i64> {
        let listed = stage.json(&[&["list"], arguments].concat());
        assert_eq!(listed["matching_count"], 5);
        let letters = listed["dead_letters"].as_array().expect("a list").clone();
        letters
            .iter()
            .map(|letter| letter["id"].as_i64().expect("an id"))
            .collect()
    };
    assert_eq!(ids(&[]), [1, 4, 2, 5, 3]);
    assert_eq!(ids(&["--oldest-first"]), [3, 5, 2, 4, 1]);
    assert_eq!(ids(&["--limit", "2"]), [1, 4]);
    let text = stage.text(&["list", "--limit", "4"]);
    insta::assert_snapshot!(text, @r"
    id  status     channel  type             to                                   ended  tries  reason
     1  dead       email    invite_accepted  b…@example.com                      1h ago      6  550: no such user b…@example.com
     4  uncertain  sms      alert_triggered  on call (sms.example.com/…)         3h ago      6  the connection broke after all was sent
     2  dead       webhook  alert_triggered  billing (webhook.example.com/…)  1d 6h ago      6  503: 100% busy at C:\hooks
     5  uncertain  email    digest           b…@example.com                   2d 2h ago      6  the connection broke after DATA
    … these are 4 of 5 dead letters: --limit shows more
    ");
    insta::assert_snapshot!(stage.text(&["list", "--type", "nothing"]), @"
    No dead letter matches.
    By --type there are: alert_triggered, digest, invite_accepted, payment_failed.
    ");
    insta::assert_snapshot!(stage.text(&["discard", "--type", "payment.failed", "--target", "biling"]), @"
    No dead letter matches; nothing was changed.
    By --type there are: alert_triggered, digest, invite_accepted, payment_failed.
    By --target there are: billing, email, env:slack, on call.
    ");
    assert_eq!(
        stage.text(&["list", "--channel", "discord"]),
        "No dead letter matches.\n"
    );
    // The recipient may be deleted, and is named without an address.
    stage.db.execute("DELETE FROM profiles").await;
    let gone = stage.json(&["list", "--channel", "email", "--limit", "1"]);
    assert_eq!(gone["dead_letters"][0]["to"], format!("user:{}", stage.bo));
}
