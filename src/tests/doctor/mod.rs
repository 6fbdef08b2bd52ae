//! `doctor` finds what is wrong, says how to fix it, and reports nothing else.

mod objects;

use notify_fan_out::ops::doctor::{Finding, Setup, Severity, diagnose};

use crate::harness::{Delivery, Pooler, Server, TestDatabase, World, binary_at, database_at, ends};

async fn checks(db: &TestDatabase<'_>) -> Vec<Finding> {
    diagnose(&db.database(), &Setup::default())
        .await
        .expect("findings")
}

/// What is not well, in lines to read.
fn complaints(checks: &[Finding]) -> String {
    let amiss = checks.iter().filter(|check| check.severity != Severity::Ok);
    let lines: Vec<_> = amiss
        .map(|check| format!("{:?} {}: {}", check.severity, check.name, check.found))
        .collect();
    lines.join("\n")
}

#[tokio::test]
async fn a_migrated_database_is_sound_for_the_jobs_role() {
    let db = TestDatabase::new().await;
    assert_eq!(complaints(&checks(&db).await), "");
    let output = db.prints("doctor");
    assert!(output.ends_with("\nAll is well.\n"), "{output}");
}

#[tokio::test]
async fn an_empty_database_needs_migrate() {
    let db = TestDatabase::empty().await;
    let checks = diagnose(&database_at(&db.superuser_url()), &Setup::default())
        .await
        .expect("findings");
    assert_eq!(problems(&checks), ["migrations", "tables", "indexes"]);
    let advice = Some("apply them: notify-fan-out migrate");
    assert!(checks.iter().any(|check| check.advice.as_deref() == advice));
}

/// The names of the checks that found a problem.
fn problems(checks: &[Finding]) -> Vec<&'static str> {
    let problems = checks
        .iter()
        .filter(|check| check.severity == Severity::Problem);
    problems.map(|check| check.name).collect()
}

/// The findings of some checks, with these variables, and its exit code.
fn reported(db: &TestDatabase<'_>, names: &[&str], variables: &[(&str, &str)]) -> (String, i32) {
    let mut command = db.binary();
    command.args(["doctor", "--format", "json"]);
    command.envs(variables.iter().copied());
    let output = command.output().expect("the binary");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let checks = report["checks"].as_array().expect("a list").iter();
    let lines: Vec<_> = checks
        .filter(|check| names.contains(&text(&check["name"]).as_str()))
        .map(|check| {
            let found = format!("{}: {}", text(&check["verdict"]), text(&check["found"]));
            match check["advice"].as_str() {
                Some(advice) => format!("{found} → {advice}"),
                None => found,
            }
        })
        .collect();
    (lines.join("\n"), output.status.code().expect("a code"))
}

#[tokio::test]
async fn an_event_that_has_been_due_for_long_is_a_problem() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let bo = world.user("Bo").await;
    let event = async |world: &mut World| {
        let event = world.event("project_access_revoked");
        event
            .payload(serde_json::json!({ "affected_user_id": bo }))
            .await
    };
    let due = |after: &str| reported(&db, &["due"], &[("NOTIFY_FANOUT_OVERDUE_AFTER", after)]);
    insta::assert_snapshot!(due("").0, @"ok: no event has been due for more than 10m");
    event(&mut world).await;
    assert_eq!(due("").1, 0);
    let hours_pass = "UPDATE notification_processing SET next_attempt_at = next_attempt_at - interval '3 hours', completed_at = completed_at - interval '3 hours'";
    db.execute(hours_pass).await;
    assert_eq!((due("").1, due("4h").1), (6, 0));
    insta::assert_snapshot!(due("").0, @"problem: events due for more than 10m: 1, the oldest for 3h; no run has ever claimed one → start it: notify-fan-out run; schedule it: scripts/install-cron.sh");
    db.run().await;
    event(&mut world).await;
    db.execute(hours_pass).await;
    insta::assert_snapshot!(due("").0, @"problem: events due for more than 10m: 1, the oldest for 3h; the last run that claimed any was 3h ago → check that cron or the timer starts notify-fan-out run; its log says how it ended");
    db.execute("UPDATE notification_processing SET completed_at = now() WHERE processing_status = 'completed'").await;
    insta::assert_snapshot!(due("").0, @"problem: events due for more than 10m: 1, the oldest for 3h; runs claim events but do not keep up → a longer NOTIFY_FANOUT_MAX_RUNTIME or a second machine; notify-fan-out status shows the throughput");
    let soon = [("NOTIFY_FANOUT_OVERDUE_AFTER", "soon")];
    let (wrong, _) = reported(&db, &["settings"], &soon);
    let must_be = "problem: NOTIFY_FANOUT_OVERDUE_AFTER: must be";
    assert!(wrong.starts_with(must_be), "{wrong}");
}

#[tokio::test]
async fn a_history_that_nothing_prunes_is_noticed() {
    let db = TestDatabase::new().await;
    db.execute(
        "INSERT INTO domain_events (event_type) SELECT 'old' FROM generate_series(1, 10000);
         UPDATE notification_processing SET processing_status = 'completed', completed_at = now() - interval '99 days'",
    )
    .await;
    let history = |age: &str| reported(&db, &["history"], &[("NOTIFY_PRUNE_OLDER_THAN", age)]).0;
    insta::assert_snapshot!(history(""), @"warn: 10000 completed events or more are older than 90d: prune does not run → schedule notify-fan-out prune once a day, as scripts/install-cron.sh does; or keep all: NOTIFY_PRUNE_OLDER_THAN=off");
    insta::assert_snapshot!(history("92d"), @"ok: little is older than 92d");
    assert_eq!(history("off"), "");
}

#[tokio::test]
async fn waiting_messages_without_a_transport_are_a_warning() {
    let db = TestDatabase::new().await;
    let mails = [
        ("NOTIFY_SMTP_URL", "smtps://mail.example.com"),
        ("NOTIFICATIONS_EMAIL_FROM", "notify@example.com"),
        ("APP_BASE_URL", "https://app.example.com"),
    ];
    let reported =
        |variables: &[(&str, &str)]| reported(&db, &["settings", "transports"], variables);
    insta::assert_snapshot!(reported(&[]).0, @"ok: e-mails: no transport, and none wait; text messages: no transport, and none wait");
    insta::assert_snapshot!(reported(&mails).0, @"ok: e-mails by smtp; text messages: no transport, and none wait");
    let mut world = db.world().await;
    let bo = world.user("Bo").await;
    let event = world.event("invite_accepted").await;
    db.queued_mail(event, bo, "pending", None).await;
    let earlier = world.event("invite_accepted").await;
    db.queued_mail(earlier, bo, "sent", None).await;
    db.delivery(Delivery::mail(bo)).await;
    db.delivery(Delivery::mail(bo).ended("dead", 1, "550"))
        .await;
    let on_call = db.endpoint("sms", "on call").await;
    db.delivery(Delivery::endpoint("sms", on_call)).await;
    db.execute("UPDATE notification_deliveries SET target = 'sms' WHERE channel = 'sms'")
        .await;
    insta::assert_snapshot!(reported(&[]).0, @"
    warn: no transport for e-mails is configured; 2 wait → set NOTIFY_SMTP_URL, NOTIFICATIONS_RESEND_API_KEY or NOTIFY_SENDGRID_API_KEY
    warn: no transport for text messages is configured; 1 waits → set NOTIFY_TWILIO_ACCOUNT_SID, NOTIFY_TWILIO_AUTH_TOKEN and NOTIFY_TWILIO_FROM
    ");
    assert_eq!(reported(&[]).1, 0);
    db.execute(
        "INSERT INTO notification_delivery_targets (target, failing_since, failures, paused_until, last_error)
         VALUES ('email', '2026-01-02T03:04:05Z', 3, '2100-01-02T03:04:05Z', '535: authentication failed'),
                ('sms', NULL, 0, now() + interval '1 second', NULL)",
    )
    .await;
    insta::assert_snapshot!(reported(&mails).0, @"
    warn: e-mails have failed since 2026-01-02 03:04:05 UTC (attempts: 3), and are paused until 2100-01-02 03:04:05 UTC: 535: authentication failed → fix the cause before what waits becomes dead letters: notify-fan-out status
    warn: no transport for text messages is configured; 1 waits → set NOTIFY_TWILIO_ACCOUNT_SID, NOTIFY_TWILIO_AUTH_TOKEN and NOTIFY_TWILIO_FROM
    ");
    // A wrong value is reported by name; the rest is checked all the same.
    let (text, code) = reported(&[
        ("NOTIFY_SMTP_URL", "smtps://user:hunter2@mail.example.com"),
        ("NOTIFY_DIGEST_EVERY", "7h"),
        ("NOTIFY_SECRET_KEY", "short"),
    ]);
    assert_eq!(code, 6);
    assert!(!text.contains("hunter2"), "{text}");
    insta::assert_snapshot!(text, @r#"
    warn: e-mails have failed since 2026-01-02 03:04:05 UTC (attempts: 3), and are paused until 2100-01-02 03:04:05 UTC: 535: authentication failed → fix the cause before what waits becomes dead letters: notify-fan-out status
    warn: no transport for text messages is configured; 1 waits → set NOTIFY_TWILIO_ACCOUNT_SID, NOTIFY_TWILIO_AUTH_TOKEN and NOTIFY_TWILIO_FROM
    problem: NOTIFICATIONS_EMAIL_FROM: not set. E-mails need a sender, such as Acme <notify@example.com> → whatever needs it ends with exit code 2 until it is fixed; see .env.example
    problem: NOTIFY_DIGEST_EVERY: must be a part of a day such as 15m, 3h or 12h, or whole days; it is "7h" → whatever needs it ends with exit code 2 until it is fixed; see .env.example
    problem: NOTIFY_SECRET_KEY: key 1 is neither base64 nor hexadecimal; make one with: openssl rand -base64 32 → whatever needs it ends with exit code 2 until it is fixed; see .env.example
    "#);
}

#[tokio::test]
async fn endpoints_that_no_key_opens_are_counted() {
    let db = TestDatabase::new().await;
    let key = |letter: &str| letter.repeat(64);
    for name in ["billing", "ops"] {
        let mut owner = binary_at(&db.superuser_url());
        owner.env("NOTIFY_SECRET_KEY", key("a"));
        let url = "https://hooks.slack.com/services/T0/B0/x";
        let add = format!("endpoint add {name} --channel slack --url {url}");
        ends(owner, &add, 0);
    }
    let reported = |keys: &str| {
        let (text, code) = reported(&db, &["transports"], &[("NOTIFY_SECRET_KEY", keys)]);
        let first = text.lines().find(|line| !line.starts_with("ok"));
        (first.unwrap_or_default().to_owned(), code)
    };
    assert_eq!(reported(&key("a")), (String::new(), 0));
    assert_eq!(reported(&format!("{},{}", key("b"), key("a"))).1, 0);
    for keys in [String::new(), key("b")] {
        let (text, code) = reported(&keys);
        assert_eq!(code, 6);
        insta::allow_duplicates!(
            insta::assert_snapshot!(text, @"problem: the settings of 2 endpoints can't be decrypted: billing, ops → set NOTIFY_SECRET_KEY to the key that they were encrypted with")
        );
    }
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_is_recognised_and_nothing_stays_in_it() {
    let db = TestDatabase::new().await;
    let pooler = Pooler::before(&db, false).await;
    let found = |checks: &[Finding]| {
        let pooler = checks
            .iter()
            .find(|check| check.name == "pooler")
            .expect("a check");
        pooler.found.contains("in transaction mode")
    };
    let through = diagnose(&database_at(&pooler.url()), &Setup::default())
        .await
        .expect("findings");
    assert_eq!((complaints(&through).as_str(), found(&through)), ("", true));
    assert!(!found(&checks(&db).await));
    let held = "pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(db.count(held).await, 0);
    let open = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL";
    assert_eq!(db.count(open).await, 0);
}

#[tokio::test]
async fn wake_ups_are_tried_as_a_daemon_would() {
    let db = TestDatabase::new().await;
    let pooler = Pooler::before(&db, false).await;
    let (direct, by_pooler) = (db.url(), pooler.url());
    let found = |variables: &[(&str, &str)]| {
        let (found, code) = reported(&db, &["wake-ups", "settings"], variables);
        let is_time = |c: char| c.is_ascii_digit() || c == '.';
        let found = match found.split_once("after ") {
            Some((before, after)) => format!("{before}after{}", after.trim_start_matches(is_time)),
            None => found,
        };
        format!("{code} {found}")
    };
    let through = ("DATABASE_URL", by_pooler.as_str());
    insta::assert_snapshot!(found(&[]), @"0 ok: a test notification arrived after ms: a daemon listens");
    insta::assert_snapshot!(found(&[("NOTIFY_WAKE", "poll")]), @"0 ok: a daemon polls, as NOTIFY_WAKE says");
    insta::assert_snapshot!(found(&[through]), @"0 ok: notifications do not arrive through the pooler: a daemon polls → for a daemon that commits wake, set NOTIFY_LISTEN_URL to a direct address of the database");
    insta::assert_snapshot!(found(&[through, ("NOTIFY_WAKE", "listen")]), @"6 problem: notifications do not arrive, and NOTIFY_WAKE is listen: serve does not start → set NOTIFY_LISTEN_URL to a direct address of the database");
    assert_eq!(
        found(&[through, ("NOTIFY_LISTEN_URL", &direct)]),
        found(&[])
    );
    insta::assert_snapshot!(found(&[through, ("NOTIFY_LISTEN_URL", &by_pooler)]), @"0 warn: notifications do not arrive at NOTIFY_LISTEN_URL: a daemon polls → set NOTIFY_LISTEN_URL to a direct address of the database");
    let nowhere = "postgres://nobody@localhost:1/nothing";
    let lost = found(&[("NOTIFY_LISTEN_URL", nowhere)]);
    assert!(
        lost.starts_with("6 problem: a test notification failed: "),
        "{lost}"
    );
}

#[tokio::test]
async fn a_standby_takes_no_writes() {
    // A server in recovery that waits for a primary's log.
    let server = Server::start();
    let db = TestDatabase::on(&server).await;
    let folder = db.text("SELECT current_setting('data_directory')").await;
    db.execute(format!("COPY (SELECT) TO '{folder}/standby.signal'"))
        .await;
    server.restart();
    let checks = diagnose(&database_at(&db.superuser_url()), &Setup::default())
        .await
        .expect("findings");
    assert_eq!(problems(&checks), ["writes"]);
}

#[tokio::test]
async fn exit_codes_and_json() {
    let db = TestDatabase::new().await;
    db.execute("ALTER TABLE domain_events DISABLE TRIGGER notify_fan_out_enqueue")
        .await;
    let (printed, _) = db.ends("doctor --format json", 6);
    let report: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(report["verdict"], "problem");
    let mut checks = report["checks"].as_array().expect("a list").iter();
    let trigger = checks.find(|check| check["name"] == "trigger");
    let trigger = trigger.expect("a check");
    assert_eq!(trigger["verdict"], "problem");
    assert!(trigger["advice"].is_string(), "{trigger}");
    // A warning is no problem.
    db.execute(
        "ALTER TABLE domain_events ENABLE TRIGGER notify_fan_out_enqueue;
         DROP FUNCTION notify_fan_out_pending",
    )
    .await;
    db.prints("doctor");
    let folder = tempfile::tempdir().expect("a folder");
    for variable in ["NOTIFY_FANOUT_METRICS_FILE", "NOTIFY_DELIVERY_METRICS_FILE"] {
        for (file, code) in [("job.prom", 0), ("missing/job.prom", 6), ("job.txt", 6)] {
            let mut command = db.binary();
            command.env(variable, folder.path().join(file));
            let (printed, _) = ends(command, "doctor", code);
            assert_eq!(printed.contains(variable), code == 6, "{printed}");
        }
    }
    // Out of reach is another thing.
    let gone = binary_at("postgres://nobody:hunter2@127.0.0.1:1/none");
    let (_, stderr) = ends(gone, "doctor", 4);
    assert!(!stderr.contains("hunter2"), "{stderr}");
}
