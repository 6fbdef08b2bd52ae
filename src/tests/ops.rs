//! `status`, `retry` and `prune`.

use std::time::Duration;

use notify_fan_out::ops::prune::{Prune, PruneOptions, PruneReport};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::{TestDatabase, Worker, World, binary_at, database_at};

const MONTH: Duration = Duration::from_hours(30 * 24);

struct Stage {
    db: TestDatabase<'static>,
    world: World,
    bo: Uuid,
    atlas: Uuid,
}

impl Stage {
    /// Bo can be notified of access to Atlas: in-app and by e-mail.
    async fn new() -> Self {
        let db = TestDatabase::new().await;
        let mut world = db.world().await;
        let [ada, bo] = world.users(["Ada", "Bo"]).await;
        let org = world.org("Works", [ada]).await;
        let atlas = world.project("Atlas", org).await;
        Self {
            db,
            world,
            bo,
            atlas,
        }
    }

    async fn granted(&mut self) -> i64 {
        let event = self
            .world
            .event("project_access_granted")
            .project(self.atlas);
        event.payload(json!({"affected_user_id": self.bo})).await
    }

    /// An event that fails for good: it does not say whom it concerns.
    async fn invalid(&mut self) -> i64 {
        self.world
            .event("project_access_granted")
            .project(self.atlas)
            .await
    }

    /// Whatever happened, happened so many days ago.
    async fn days_pass(&self, days: u32) {
        self.db
            .execute(format!(
                "UPDATE notification_processing SET completed_at = completed_at - interval '{days} days';
                 UPDATE notifications SET read_at = read_at - interval '{days} days';
                 UPDATE pending_emails SET processed_at = processed_at - interval '{days} days'"
            ))
            .await;
    }

    async fn read_and_sent(&self, event: i64) {
        self.db
            .execute(format!(
                "UPDATE notifications SET read_at = now() WHERE event_id = {event};
                 UPDATE pending_emails SET status = 'sent', processed_at = now() WHERE event_id = {event}"
            ))
            .await;
    }

    /// What is there of each event: event, row, notification, mail.
    async fn left(&self) -> Vec<String> {
        self.db
            .texts(
                "SELECT concat_ws(' ', id, 'event',
                        (SELECT processing_status FROM notification_processing p WHERE p.event_id = e.id),
                        (SELECT 'notification' FROM notifications n WHERE n.event_id = e.id),
                        (SELECT 'mail' FROM pending_emails m WHERE m.event_id = e.id))
                   FROM domain_events e ORDER BY id",
            )
            .await
    }
}

/// Prunes as the superuser: deleting is not among the rights of the job's role.
async fn prune(db: &TestDatabase<'_>, events: bool) -> PruneReport {
    let mut session = database_at(&db.superuser_url())
        .connect()
        .await
        .expect("a connection");
    let scope = PruneOptions {
        older_than: MONTH,
        events,
    };
    let counted = Prune::new(&mut session, scope)
        .await
        .expect("a start")
        .dry_run(&mut session)
        .await;
    let mut prune = Prune::new(&mut session, scope).await.expect("a start");
    let done = prune
        .execute(&mut session, &CancellationToken::new(), &mut |_| {})
        .await;
    done.expect("pruned");
    let report = prune.report().clone();
    let counted = PruneReport {
        older_than: report.older_than,
        ..counted.expect("a preview")
    };
    assert_eq!(counted, report, "the dry run is right");
    report
}

fn counts(report: &PruneReport) -> [u64; 4] {
    [
        report.notifications_count,
        report.emails_count,
        report.processing_rows_count,
        report.events_count,
    ]
}

fn json_of(assert: &assert_cmd::assert::Assert) -> Value {
    serde_json::from_slice(&assert.get_output().stdout).expect("JSON")
}

fn text_of(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
}

/// Only what the application deletes itself begins anew.
#[tokio::test]
async fn a_pruned_nudge_is_not_sent_again() {
    let mut stage = Stage::new().await;
    let owner = stage.world.user("Owner").await;
    let org = stage.world.org("Org", [owner]).await;
    let project = stage.world.project("Project", org).await;
    let payload = json!({"user_id": owner, "resume_type": "project", "completion_percent": 5, "nudge_tier": 1});
    for notifications in [1, 0] {
        let event = stage
            .world
            .event("resume_incomplete_nudge")
            .project(project)
            .payload(payload.clone())
            .await;
        assert_eq!(stage.db.run().await.notifications, notifications);
        stage.read_and_sent(event).await;
        stage.days_pass(40).await;
        assert_eq!(
            prune(&stage.db, false).await.notifications_count,
            notifications
        );
    }
}

#[tokio::test]
async fn pruned_events_are_not_processed_again() {
    let mut stage = Stage::new().await;
    let first = stage.granted().await;
    stage.granted().await;
    let failed = stage.invalid().await;
    let last = stage.granted().await;
    stage.db.run().await;
    stage.read_and_sent(first).await;
    stage.read_and_sent(last).await;
    stage.days_pass(31).await;
    let pending = stage.granted().await;

    assert_eq!(counts(&prune(&stage.db, false).await), [2, 2, 3, 0]);
    let left = stage.left().await;
    assert_eq!(
        left,
        [
            format!("{first} event"),
            format!("{} event notification mail", first + 1),
            format!("{failed} event failed"),
            format!("{last} event"),
            format!("{pending} event pending"),
        ]
    );
    let marks = stage
        .db
        .texts("SELECT event_ids FROM notification_pruned ORDER BY 1")
        .await;
    assert_eq!(
        marks,
        [
            format!("[{first},{})", first + 2),
            format!("[{last},{})", last + 1)
        ]
    );

    // The back-fill looks for events without a row. These must not be sent again; one that
    // was never seen, inserted while the trigger was off, is.
    stage
        .db
        .execute("ALTER TABLE domain_events DISABLE TRIGGER notify_fan_out_enqueue")
        .await;
    let unseen = stage.granted().await;
    stage
        .db
        .execute("ALTER TABLE domain_events ENABLE TRIGGER notify_fan_out_enqueue")
        .await;
    let report = stage.db.migrate().await;
    assert_eq!(
        (
            report.online.backfilled_pending,
            report.online.backfilled_expired
        ),
        (1, 0)
    );
    assert_eq!(stage.db.run().await.notifications, 2);
    assert_eq!(stage.db.state(unseen).await, "completed 0");
    assert_eq!(
        stage
            .db
            .count(&format!(
                "notifications WHERE event_id IN ({first}, {last})"
            ))
            .await,
        0
    );
}

#[tokio::test]
async fn an_event_goes_when_nothing_refers_to_it() {
    let mut stage = Stage::new().await;
    let done = stage.granted().await;
    let unread = stage.granted().await;
    let unsent = stage.granted().await;
    let read_lately = stage.granted().await;
    let failed = stage.invalid().await;
    stage.db.run().await;
    for event in [done, unread, unsent] {
        stage.read_and_sent(event).await;
    }
    stage
        .db
        .execute(format!(
            "UPDATE notifications SET read_at = NULL WHERE event_id = {unread}"
        ))
        .await;
    stage
        .db
        .execute(format!(
            "UPDATE pending_emails SET status = 'failed' WHERE event_id = {unsent}"
        ))
        .await;
    stage.days_pass(31).await;
    stage.read_and_sent(read_lately).await;

    assert_eq!(counts(&prune(&stage.db, true).await), [2, 2, 4, 1]);
    assert_eq!(
        stage.left().await,
        [
            format!("{unread} event notification"),
            format!("{unsent} event mail"),
            format!("{read_lately} event notification mail"),
            format!("{failed} event failed"),
        ]
    );

    // Later they go as well, and the mark with them.
    for event in [unread, unsent] {
        stage.read_and_sent(event).await;
    }
    stage.days_pass(31).await;
    assert_eq!(counts(&prune(&stage.db, true).await), [2, 2, 0, 3]);
    assert_eq!(stage.left().await, [format!("{failed} event failed")]);
    assert_eq!(stage.db.count("notification_pruned").await, 0);
}

#[tokio::test]
async fn what_was_sent_of_an_event_that_may_be_retried_stays() {
    let mut stage = Stage::new().await;
    let event = stage.granted().await;
    stage.db.run().await;
    stage.read_and_sent(event).await;
    stage.days_pass(31).await;
    // As an older job may have left it: sent, and then failed.
    stage
        .db
        .execute("UPDATE notification_processing SET processing_status = 'failed'")
        .await;
    assert_eq!(counts(&prune(&stage.db, true).await), [0, 0, 0, 0]);
    stage.db.cli(&["retry", "--all"]).success();
    let report = stage.db.run().await;
    assert_eq!(
        (report.events, report.notifications, report.emails),
        (1, 0, 0)
    );
}

#[tokio::test]
async fn rows_of_others_that_go_with_an_event_are_named() {
    let mut stage = Stage::new().await;
    stage
        .db
        .execute("CREATE TABLE audit (event_id bigint REFERENCES domain_events ON DELETE CASCADE)")
        .await;
    let event = stage.granted().await;
    stage.db.run().await;
    stage.read_and_sent(event).await;
    stage.days_pass(31).await;
    assert_eq!(prune(&stage.db, true).await.cascades_to, ["audit"]);
}

/// Completed events of 40 days ago, as many as asked for.
async fn history(db: &TestDatabase<'_>, events: u32) {
    db.execute(format!(
        "INSERT INTO domain_events (event_type, occurred_at)
         SELECT 'meeting_updated', now() - interval '40 days' FROM generate_series(1, {events});
         UPDATE notification_processing
            SET processing_status = 'completed', completed_at = now() - interval '40 days'"
    ))
    .await;
}

#[tokio::test]
async fn prune_stops_between_batches_and_goes_on() {
    let db = TestDatabase::new().await;
    history(&db, 12_000).await;
    let mut session = database_at(&db.superuser_url())
        .connect()
        .await
        .expect("a connection");
    let scope = PruneOptions {
        older_than: MONTH,
        events: true,
    };
    let stop = CancellationToken::new();
    let mut stopped = Prune::new(&mut session, scope).await.expect("a start");
    stopped
        .execute(&mut session, &stop, &mut |report| {
            if report.processing_rows_count > 0 {
                stop.cancel();
            }
        })
        .await
        .expect("pruned");
    assert!(stopped.report().stopped_early);
    assert_eq!(counts(stopped.report()), [0, 0, 5_000, 0]);
    assert_eq!(db.count("notification_processing").await, 7_000);
    assert_eq!(counts(&prune(&db, true).await), [0, 0, 7_000, 12_000]);
    assert_eq!(
        db.count("domain_events").await + db.count("notification_pruned").await,
        0
    );
}

#[tokio::test]
async fn two_prunes_at_once_share_the_work() {
    let db = TestDatabase::new().await;
    history(&db, 20_000).await;
    let start = || {
        let mut command = binary_at(&db.superuser_url());
        command.args([
            "prune",
            "--older-than",
            "30d",
            "--events",
            "--format",
            "json",
        ]);
        Worker::start(&mut command)
    };
    let (one, two) = (start(), start());
    let (mut rows, mut events) = (0, 0);
    for worker in [one, two] {
        let ended = worker.end().await;
        assert!(ended.status.success(), "{}", ended.stderr);
        let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        rows += report["processing_rows_count"].as_u64().expect("a count");
        events += report["events_count"].as_u64().expect("a count");
    }
    assert_eq!(rows, 20_000);
    assert_eq!(events + db.count("domain_events").await, 20_000);
    prune(&db, true).await;
    assert_eq!(
        db.count("domain_events").await + db.count("notification_pruned").await,
        0
    );
}

#[tokio::test]
async fn the_age_of_what_is_pruned_has_a_default_and_can_be_off() {
    let db = TestDatabase::new().await;
    let prune = |age: &str, arguments: &[&str]| {
        let mut command = binary_at(&db.superuser_url());
        command
            .env("NOTIFY_PRUNE_OLDER_THAN", age)
            .args(["prune", "--format", "json"]);
        assert_cmd::Command::from_std(command)
            .args(arguments)
            .assert()
    };
    let days = async |report: Value| {
        let since = report["older_than"].as_str().expect("a time").to_owned();
        db.text(&format!(
            "SELECT round(extract(epoch FROM now() - '{since}'::timestamptz) / 86400)"
        ))
        .await
    };
    assert_eq!(days(json_of(&prune("", &[]).success())).await, "90");
    assert_eq!(days(json_of(&prune("30d", &[]).success())).await, "30");
    assert_eq!(
        days(json_of(&prune("off", &["--older-than", "7d"]).success())).await,
        "7"
    );
    assert_eq!(
        json_of(&prune("off", &[]).success()),
        json!({ "off": true })
    );
    for wrong in [prune("30", &[]), prune("", &["--older-than", "30"])] {
        let refused = wrong.code(2);
        let stderr = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
        assert!(stderr.contains("must be a time with its unit"), "{stderr}");
    }
    let dry = json_of(&prune("", &["--events", "--dry-run"]).success());
    assert_eq!(dry["dry_run"], json!(true));
}

#[tokio::test]
async fn a_retried_event_starts_afresh() {
    let mut stage = Stage::new().await;
    let event = stage.invalid().await;
    stage.db.run().await;
    // Long ago: its age counts from the retry.
    stage
        .db
        .execute(
            "UPDATE notification_processing
                SET retry_count = 4, occurred_at = now() - interval '9 days', completed_at = now() - interval '9 days'",
        )
        .await;
    stage.db.cli(&["retry", &event.to_string()]).success();
    let row = stage
        .db
        .text(
            "SELECT concat_ws(' ', processing_status, retry_count, claimed_at, claim_token, completed_at,
                    retried_at > now() - interval '1 minute', next_attempt_at <= now(), error_message)
               FROM notification_processing",
        )
        .await;
    assert_eq!(
        row,
        "pending 0 t t invalid project_access_granted event: payload.affected_user_id is required"
    );

    let bo = stage.bo;
    stage
        .db
        .execute(format!(
            "UPDATE domain_events SET payload = '{{\"affected_user_id\": \"{bo}\"}}'"
        ))
        .await;
    assert_eq!(stage.db.run().await.notifications, 1);
    assert_eq!(stage.db.state(event).await, "completed 0");
}

#[tokio::test]
async fn retry_asks_which() {
    let db = TestDatabase::new().await;
    let refused = db.cli(&["retry"]).code(2);
    let error = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(error.contains("which failed events?"), "{error}");
    db.cli(&["retry", "--dry-run"]).code(2);
    db.cli(&["retry", "--error", " "]).code(2);
    assert_eq!(
        text_of(&db.cli(&["retry", "--all"]).success()),
        "No failed event matches; nothing was requeued.\n"
    );
}

#[tokio::test]
async fn filters_narrow_each_other() {
    let db = TestDatabase::new().await;
    db.execute(
        "INSERT INTO domain_events (event_type)
         SELECT CASE WHEN n % 2 = 0 THEN 'meeting_updated' ELSE 'invite_accepted' END FROM generate_series(1, 2500) AS n;
         UPDATE notification_processing
            SET processing_status = 'failed', completed_at = now(),
                error_message = 'disk ' || event_id || ' is 100% full, says ' || CASE WHEN event_id % 5 = 0 THEN 'C:\\' ELSE '/' END;
         UPDATE notification_processing SET processing_status = 'completed' WHERE event_id = 2",
    )
    .await;
    let would = |arguments: &[&str]| {
        let arguments = [&["retry", "--dry-run", "--format", "json"], arguments].concat();
        json_of(&db.cli(&arguments).success())["retried_count"].clone()
    };
    assert_eq!(would(&["--all"]), 2_499);
    assert_eq!(would(&["--type", "invite_accepted"]), 1_250);
    assert_eq!(
        would(&[
            "--all",
            "--type",
            "invite_accepted",
            "--type",
            "meeting_updated"
        ]),
        2_499
    );
    db.execute(
        "UPDATE domain_events SET event_type = 'payment.failed' WHERE id = 4;
         UPDATE domain_events SET event_type = 'payment_failed' WHERE id = 6",
    )
    .await;
    for name in ["payment_failed", "payment.failed"] {
        assert_eq!(would(&["--type", name]), 2);
        assert_eq!(would(&["--type", name, "4", "8"]), 1);
    }
    assert_eq!(would(&["--error", "disk … is 100% full, says C:\\"]), 500);
    assert_eq!(would(&["--error", "1_0%"]), 0);
    assert_eq!(
        would(&["--error", "C:\\", "--type", "meeting_updated"]),
        250
    );
    assert_eq!(would(&["--error", "disk 7 ", "7", "8"]), 1);
    assert_eq!(db.statuses().await["failed"], 2_499);

    let some = db
        .cli(&[
            "retry",
            "1",
            "2",
            "3",
            "4",
            "9999",
            "--type",
            "invite_accepted",
            "--format",
            "json",
        ])
        .success();
    assert_eq!(
        json_of(&some),
        json!({
            "dry_run": false, "retried_count": 2, "retried_count_by_type": {"invite_accepted": 2},
            "not_retried": [
                {"event_id": 2, "state": "completed"},
                {"event_id": 4, "state": "failed_but_filtered_out"},
                {"event_id": 9_999, "state": "no_such_event"},
            ],
            "stopped_early": false,
        })
    );
    // More than one batch.
    assert_eq!(
        json_of(&db.cli(&["retry", "--all", "--format", "json"]).success())["retried_count"],
        2_497
    );
    assert_eq!(
        db.statuses().await,
        [("completed".to_owned(), 1), ("pending".to_owned(), 2_499)].into()
    );
}

#[tokio::test]
async fn what_nobody_wants_is_discarded_and_pruned() {
    let mut stage = Stage::new().await;
    let [invalid, expired] = [stage.invalid().await, stage.granted().await];
    let age = "SET occurred_at = occurred_at - interval '90 days'";
    stage
        .db
        .execute(format!(
            "UPDATE notification_processing {age} WHERE event_id = {expired}"
        ))
        .await;
    assert_eq!(stage.db.run().await.expired, 1);
    // To notify late is not advised.
    let text = text_of(&stage.db.cli(&["status"]).success());
    assert!(
        text.contains(
            "→ expired events that are no longer wanted: notify-fan-out discard --error expired"
        ),
        "{text}"
    );
    assert!(
        text.contains("notify-fan-out retry --error 'invalid")
            && !text.contains("retry --error 'expired"),
        "{text}"
    );
    let discard = |arguments: &[&str]| {
        stage
            .db
            .cli(&[&["discard", "--format", "json"], arguments].concat())
    };
    discard(&[]).code(2);
    let dry = json_of(&discard(&["--error", "expired", "--dry-run"]).success());
    assert_eq!(
        (&dry["discarded_count"], &dry["dry_run"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(stage.db.statuses().await["failed"], 2);
    let report = json_of(&discard(&["--error", "expired"]).success());
    assert_eq!(
        report["discarded_count_by_type"],
        json!({ "project_access_granted": 1 })
    );
    assert!(stage.db.state(invalid).await.starts_with("failed "));
    assert_eq!(
        stage.db.state(expired).await,
        "completed 0 discarded: expired: pending for longer than the age limit"
    );
    assert_eq!(stage.db.run().await.events, 0);
    let named = json_of(&discard(&[&expired.to_string()]).success());
    assert_eq!(named["not_discarded"][0]["state"], "completed");
    stage.days_pass(31).await;
    assert_eq!(prune(&stage.db, true).await.processing_rows_count, 1);
    assert_eq!(stage.db.count("domain_events").await, 1);
}

#[tokio::test]
async fn status_tells_what_waits_and_why() {
    let mut stage = Stage::new().await;
    for _ in 0..3 {
        stage.granted().await;
    }
    for _ in 0..2 {
        stage.invalid().await;
    }
    let expired = stage.world.event("meeting_updated").hours_ago(30).await;
    let unhandled = stage.world.event("invoice_paid").hours_ago(2).await;
    stage.db.run().await;
    let retrying = stage.granted().await;
    let stuck = stage.granted().await;
    let working = stage.granted().await;
    stage.granted().await;
    stage
        .db
        .execute(format!(
            "UPDATE notification_processing SET claimed_at = now(), next_attempt_at = now() + interval '90 s', error_message = 'x'
              WHERE event_id = {retrying};
             UPDATE notification_processing SET processing_status = 'processing', claimed_at = now() - interval '20 minutes'
              WHERE event_id = {stuck};
             UPDATE notification_processing SET processing_status = 'processing', claimed_at = now() WHERE event_id = {working};
             UPDATE notification_processing SET error_message = error_message || '; last error: x' WHERE event_id = {expired}"
        ))
        .await;
    assert!(unhandled > expired);

    let status = json_of(&stage.db.cli(&["status", "--format", "json"]).success());
    let backlog = &status["backlog"];
    assert_eq!(
        [
            &backlog["due_count"],
            &backlog["scheduled_count"],
            &backlog["retrying_count"],
            &backlog["without_handler_count"]
        ],
        [&json!(1), &json!(1), &json!(1), &json!(1)]
    );
    assert_eq!(backlog["without_handler"][0]["event_type"], "invoice_paid");
    let age = backlog["oldest_age_seconds"].as_f64().expect("an age");
    assert!((7_200.0..7_300.0).contains(&age), "{age}");
    assert_eq!(
        [
            &status["processing"]["count"],
            &status["processing"]["stuck_count"]
        ],
        [&json!(2), &json!(1)]
    );
    assert_eq!(status["failed"]["count"], 3);
    let kinds: Vec<_> = (0..2)
        .map(|no| &status["failed"]["kinds"][no])
        .map(|kind| {
            format!(
                "{} {} {}",
                kind["count"], kind["error"], kind["event_types"]
            )
        })
        .collect();
    assert_eq!(
        kinds,
        [
            r#"2 "invalid project_access_granted event: payload.affected_user_id is required" ["project_access_granted"]"#,
            r#"1 "expired: pending for longer than the age limit" ["meeting_updated"]"#,
        ]
    );
    assert_eq!(status["pending_emails"]["immediate_count"], 3);
    assert_eq!(
        [
            &status["last_hour"]["completed_count"],
            &status["last_day"]["completed_count"]
        ],
        [&json!(3), &json!(3)]
    );
    let latency = status["last_hour"]["latency_p99_seconds"]
        .as_f64()
        .expect("a latency");
    assert!((0.0..60.0).contains(&latency), "{latency}");
    assert_eq!(status["tables"].as_array().map(Vec::len), Some(5));

    let text = text_of(&stage.db.cli(&["status"]).success());
    for part in [
        "Backlog     1 due",
        "1 waits for their time",
        "handler of invoice_paid, the oldest 2h old, expires in 22h",
        "Processing  2, of these 1 stuck, the oldest for 20m",
        "→ once fixed: notify-fan-out retry --error 'invalid project_access_granted event: payload.affected_user_id is required'",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[tokio::test]
async fn failures_that_differ_in_details_are_one_kind_and_found_by_it() {
    let db = TestDatabase::new().await;
    db.execute(
        "INSERT INTO domain_events (event_type) SELECT 'meeting_updated' FROM generate_series(1, 40);
         UPDATE notification_processing SET processing_status = 'failed', completed_at = now(), error_message = CASE event_id % 4
             WHEN 0 THEN 'no person ' || md5(event_id::text)::uuid || ' at ' || now() || E'\\nin line ' || event_id + 10000
             WHEN 1 THEN 'database refused: 22P02: invalid input syntax for type uuid: \"v' || event_id || '\"'
             WHEN 2 THEN 'stuck: claimed by host:' || event_id || ':00ff, which never settled it' END",
    )
    .await;
    let status = json_of(&db.cli(&["status", "--format", "json"]).success());
    let mut kinds: Vec<_> = status["failed"]["kinds"]
        .as_array()
        .expect("kinds")
        .iter()
        .collect();
    kinds.sort_by_key(|kind| kind["error"].as_str());
    let words: Vec<_> = kinds
        .iter()
        .map(|kind| format!("{} {}", kind["count"], kind["error"]))
        .collect();
    insta::assert_snapshot!(words.join("\n"), @r#"
    10 ""
    10 "database refused: 22P02: invalid input syntax for type uuid: …"
    10 "no person … at ……in line …"
    10 "stuck: claimed by …, which never settled it"
    "#);
    for kind in &kinds[1..] {
        let error = kind["error"].as_str().expect("text");
        let found = json_of(
            &db.cli(&["retry", "--error", error, "--dry-run", "--format", "json"])
                .success(),
        );
        assert_eq!(found["retried_count"], 10, "{error}");
    }
}

#[tokio::test]
async fn status_names_what_holds_vacuum_back_and_writes_nothing() {
    let stage = Stage::new().await;
    let hold = stage
        .db
        .hold("INSERT INTO profiles (id, email) VALUES (gen_random_uuid(), 'x')")
        .await;
    let status = |url: &str| {
        let mut command = binary_at(url);
        command.args(["status", "--format", "json"]);
        json_of(&assert_cmd::Command::from_std(command).assert().success())
    };
    // Other databases have no part in it.
    let seen = status(&stage.db.superuser_url());
    assert_eq!(
        seen["vacuum"]["held_back_by"].as_array().map(Vec::len),
        Some(1),
        "{seen}"
    );
    assert_eq!(seen["vacuum"]["held_back_by"][0]["kind"], "session");
    // The job's role may not look into the superuser's sessions, and says so.
    if stage.db.url() != stage.db.superuser_url() {
        let blind = status(&stage.db.url());
        assert_eq!(blind["vacuum"]["held_back_by"], json!([]));
        assert!(
            blind["vacuum"]["hidden_sessions_count"].as_u64() >= Some(1),
            "{blind}"
        );
    }
    drop(hold);
    stage
        .db
        .execute(format!(
            "ALTER DATABASE {} SET default_transaction_read_only = on",
            stage.db.name()
        ))
        .await;
    stage.db.cli(&["status"]).success();
    stage.db.cli(&["retry", "--all", "--dry-run"]).success();
    stage
        .db
        .cli(&["prune", "--older-than", "1d", "--events", "--dry-run"])
        .success();
}

#[tokio::test]
async fn an_error_is_not_dressed_up_as_a_result() {
    let mut stage = Stage::new().await;
    let event = stage.invalid().await;
    stage.db.run().await;
    stage.days_pass(31).await;
    stage
        .db
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$no$$; END';
             CREATE TRIGGER refuse BEFORE UPDATE OR DELETE ON notification_processing
                FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await;
    let failed = stage.db.cli(&["retry", &event.to_string()]).code(1);
    assert_eq!(text_of(&failed), "");
    assert!(stage.db.state(event).await.starts_with("failed"));
}

/// Identifiers are any numbers that a bigint holds.
#[tokio::test]
async fn at_both_ends_of_all_identifiers() {
    let mut stage = Stage::new().await;
    stage
        .db
        .execute("ALTER TABLE domain_events DISABLE TRIGGER notify_fan_out_enqueue")
        .await;
    for end in [i64::MIN, i64::MAX] {
        let event = stage.granted().await;
        stage
            .db
            .execute(format!(
                "UPDATE domain_events SET id = {end} WHERE id = {event}"
            ))
            .await;
    }
    assert_eq!(stage.db.migrate().await.online.backfilled_pending, 2);
    assert_eq!(stage.db.run().await.notifications, 2);
    stage
        .db
        .execute(
            "UPDATE notification_processing SET processing_status = 'failed';
             UPDATE notifications SET id = event_id;
             UPDATE pending_emails SET id = event_id",
        )
        .await;
    let retried = stage.db.cli(&["retry", "--all", "--format", "json"]);
    assert_eq!(json_of(&retried.success())["retried_count"], 2);
    assert_eq!(stage.db.run().await.events, 2);
    stage.read_and_sent(i64::MIN).await;
    stage.read_and_sent(i64::MAX).await;
    stage.days_pass(31).await;
    // The row of the last one stays.
    assert_eq!(counts(&prune(&stage.db, true).await), [2, 2, 1, 1]);
    assert_eq!(
        stage.left().await,
        [format!("{} event completed", i64::MAX)]
    );
}
