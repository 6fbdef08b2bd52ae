//! `dead-letters`: a dead letter stays until a person retries or discards it.

mod shown;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Delivery, TestDatabase, Worker, words};

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
            Delivery::endpoint("sms", texts).says("Margin call").ended(
                "uncertain",
                3,
                "the connection broke after all was sent",
            ),
            Delivery::mail(bo)
                .event_type("digest")
                .with("digest_window", "'2026-01-02T03:00:00Z'")
                .ended("uncertain", 50, "the connection broke after DATA"),
        ];
        let mut ids = Vec::new();
        for letter in letters {
            ids.push(db.delivery(letter).await);
        }
        let other = Delivery::endpoint("webhook", billing);
        for (status, attempts) in [("pending", 0), ("pending", 2), ("sending", 1)] {
            db.delivery(other.clone().status(status, attempts)).await;
        }
        for status in ["delivered", "cancelled"] {
            db.delivery(other.clone().ended(status, 30, "503")).await;
        }
        Self {
            db,
            bo,
            event,
            billing,
            letters: ids.try_into().expect("five"),
        }
    }

    fn json(&self, line: &str) -> Value {
        self.db.json(&format!("dead-letters {line}"))
    }

    fn text(&self, line: &str) -> String {
        self.db.prints(&format!("dead-letters {line}"))
    }

    /// Which of the letters a filter finds, by their places; the same for `list`, `retry` and
    /// `discard`.
    fn found(&self, filter: &str) -> Vec<usize> {
        let listed = self.json(&format!("list {filter}"));
        let letters = listed["dead_letters"].as_array().expect("a list").iter();
        let ids = letters.map(|letter| letter["id"].as_i64().expect("an identifier"));
        let place = |id: i64| self.letters.iter().position(|letter| *letter == id);
        let mut places: Vec<_> = ids.map(|id| place(id).expect("a dead letter")).collect();
        places.sort_unstable();
        assert_eq!(listed["matching_count"], places.len());
        if !filter.is_empty() {
            for action in ["retry", "discard"] {
                let would = self.json(&format!("{action} --dry-run {filter}"));
                let count = &would["deliveries_count"];
                assert_eq!(*count, places.len(), "{action} {filter}");
            }
        }
        places
    }

    /// Identifier, status, attempts, code and reason of all deliveries.
    async fn rows(&self) -> Vec<String> {
        let query = "SELECT concat_ws(' ', id, status, attempts, code, reason) FROM notification_deliveries ORDER BY id";
        self.db.texts(query).await
    }
}

/// Filters, and the places of the letters that they find.
const FILTERS: &str = r"
 => 0 1 2 3 4
--channel email => 0 4
--channel slack --channel sms => 2 3
--type digest => 4
--type alert_triggered --type payment_failed => 1 2 3
--type alert.triggered => 1 3
--status dead => 0 1 2
--status uncertain => 3 4
--status uncertain --channel email => 4
--error 'connection broke' => 3 4
--error unavailable => 1
--error '100% busy at C:\hooks' => 1
--error '1_0%' =>
--error '503: … busy' => 1
--age 2h => 1 2 3 4
--older-than 2d => 2 4
--newer-than 2d => 0 1 3
--age 2h --newer-than 2d => 1 3
--target billing => 1
--target BILLING => 1
--target endpoint:BILLING => 1
--endpoint 'on call' --target env:slack => 2 3
--target email => 0 4
--target BO => 0 4
1 => 0
--id 1 --id 2 --channel webhook => 1
";

#[tokio::test]
async fn filters_narrow_each_other() {
    let stage = Stage::new().await;
    for line in FILTERS.trim_matches('\n').lines() {
        let (filter, places) = line.split_once("=>").expect("two parts");
        let filter = filter
            .replace("BILLING", &stage.billing.to_string())
            .replace("BO", &stage.bo.to_string());
        let found: Vec<_> = stage
            .found(filter.trim())
            .iter()
            .map(usize::to_string)
            .collect();
        assert_eq!(found.join(" "), places.trim(), "{filter}");
    }
}

#[tokio::test]
async fn a_bulk_action_says_which() {
    let stage = Stage::new().await;
    let before = stage.rows().await;
    for action in ["retry", "discard"] {
        for (filter, why) in [
            ("", "which dead letters?"),
            ("--dry-run", "which dead letters?"),
            ("--error ' … '", ""),
            ("--channel fax", ""),
            ("--status pending", ""),
            ("--age 2", ""),
            ("--all", ""),
        ] {
            let line = format!("dead-letters {action} {filter}");
            let (stdout, stderr) = stage.db.ends(&line, 2);
            assert_eq!(stdout, "");
            assert!(stderr.contains(why), "{line}: {stderr}");
        }
    }
    stage.db.ends("dead-letters", 2);
    stage.db.ends("dead-letters list --limit 0", 2);
    assert_eq!(stage.rows().await, before);
}

#[tokio::test]
async fn a_retried_one_starts_afresh() {
    let stage = Stage::new().await;
    let [mail, _, _, _, digest] = stage.letters;
    let db = &stage.db;
    let (event, bo) = (stage.event, stage.bo);
    db.queued_mail(event, bo, "failed", Some(mail)).await;
    let mut world = db.world().await;
    for reason in [
        "uncertain: the connection broke",
        "cancelled: read meanwhile",
    ] {
        let event = world.event("invite_accepted").await;
        db.queued_mail(event, bo, "failed", Some(digest)).await;
        db.execute(format!(
            "UPDATE pending_emails SET status_reason = '{reason}', processed_at = now() WHERE event_id = {event}"
        ))
        .await;
    }
    assert_eq!(
        stage.json("retry 1 2 --id 5 6 9 999"),
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
    let rows = "SELECT concat_ws(' ', id, status, attempts, next_attempt_at <= now(), finished_at IS NULL, lease_token, code, reason)
                  FROM notification_deliveries WHERE id <= 5 ORDER BY id";
    insta::assert_snapshot!(db.texts(rows).await.join("\n"), @r"
    1 pending 0 t t 550 550: no such user b…@example.com
    2 pending 0 t t unavailable 503: 100% busy at C:\hooks
    3 dead 6 t f 404: channel_not_found
    4 uncertain 6 t f the connection broke after all was sent
    5 pending 0 t t the connection broke after DATA
    ");
    // What was left out of a digest for reasons of its own stays out.
    let mails = "SELECT concat_ws(' ', delivery_id, status, status_reason, processed_at IS NULL) FROM pending_emails ORDER BY id";
    insta::assert_snapshot!(db.texts(mails).await.join("\n"), @"
    1 processing t
    5 processing t
    5 failed cancelled: read meanwhile f
    ");
    insta::assert_snapshot!(stage.text("retry 1 --channel slack --status dead"), @"
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
    let would = stage.text("retry --age 1m --dry-run");
    insta::assert_snapshot!(would, @"
    Would requeue 5 dead letters (nothing was changed):
      email    2
      slack    1
      sms      1
      webhook  1
    2 of these may have arrived already, and would then arrive twice.
    2 of these: the endpoint is disabled or removed. Unless it is enabled first, the delivery is cancelled.
    ");
    let did = stage.text("retry --age 1m");
    assert!(would.lines().skip(1).eq(did.lines().skip(1)), "{did}");
}

#[tokio::test]
async fn a_discarded_one_ends_with_its_reason() {
    let stage = Stage::new().await;
    let db = &stage.db;
    let mail = Some(stage.letters[0]);
    db.queued_mail(stage.event, stage.bo, "processing", mail)
        .await;
    let report = stage.json("discard --channel email --status dead");
    let counts = [&report["deliveries_count"], &report["emails_count"]];
    assert_eq!(counts, [1, 1]);
    insta::assert_snapshot!(stage.rows().await[0], @"1 cancelled 6 discarded discarded manually; it was dead: 550: no such user b…@example.com");
    let mail =
        "SELECT status || ', ' || status_reason FROM pending_emails WHERE processed_at <= now()";
    insta::assert_snapshot!(db.text(mail).await, @"failed, cancelled: discarded manually; it was dead: 550: no such user b…@example.com");
    assert_eq!(stage.found(""), [1, 2, 3, 4]);
    insta::assert_snapshot!(stage.text("discard 1"), @"
    No dead letter matches; nothing was changed.
    Not touched: 1 (cancelled or discarded)
    ");
}

#[tokio::test]
async fn a_dry_run_cannot_write_and_readers_may_look() {
    let stage = Stage::new().await;
    let name = stage.db.name();
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    stage.db.execute(read_only).await;
    for line in [
        "list",
        "show 1",
        "retry --dry-run --age 1s",
        "discard --dry-run --age 1s",
    ] {
        stage.text(line);
    }
}

/// Another one has retried it, and it has ended otherwise.
#[tokio::test]
async fn one_that_matches_no_more_once_it_is_locked_is_left() {
    let stage = Stage::new().await;
    let db = &stage.db;
    for (action, filter) in [
        ("retry", ["--status", "dead"]),
        ("discard", ["--error", "503"]),
    ] {
        db.execute(
            "UPDATE notification_deliveries SET status = 'dead', reason = '503' WHERE id = 2",
        )
        .await;
        let otherwise = "UPDATE notification_deliveries SET status = 'uncertain', reason = 'the connection broke' WHERE id = 2";
        let hold = db.hold(otherwise).await;
        let arguments = ["dead-letters", action, "2"];
        let worker = Worker::start(db.binary().args(arguments).args(filter));
        db.until_waiting(1).await;
        hold.release().await;
        worker.ends(0).await;
        let row = &stage.rows().await[1];
        assert_eq!(
            row, "2 uncertain 6 unavailable the connection broke",
            "{action}"
        );
    }
}

#[tokio::test]
async fn two_at_once_share_the_work() {
    let db = TestDatabase::new().await;
    db.execute(
        "INSERT INTO notification_deliveries (channel, target, recipient, event_type, status, attempts, finished_at, reason)
         SELECT 'webhook', 'x', 'x', 'y', 'dead', 6, now(), 'too many' FROM generate_series(1, 2500)",
    )
    .await;
    let workers = ["retry", "discard", "retry"].map(|action| {
        let line = format!("dead-letters {action} --error 'too many' --format json");
        Worker::start(db.binary().args(words(&line)))
    });
    let mut counts = Vec::new();
    for worker in workers {
        let report = worker.end().await.report();
        let count = report["deliveries_count"].as_u64();
        counts.push(count.expect("a count"));
    }
    // What one requeued is not a dead letter to the other.
    assert_eq!(counts.iter().sum::<u64>(), 2_500);
    let left = async |status: &str| {
        db.count(&format!(
            "notification_deliveries WHERE status = '{status}'"
        ))
        .await
    };
    assert_eq!(left("cancelled").await, counts[1]);
    assert_eq!(left("pending").await, counts[0] + counts[2]);
}
