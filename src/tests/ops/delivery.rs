//! What `status`, `doctor`, `explain` and the metrics know of deliveries.

use notify_fan_out::channels::Channel;
use notify_fan_out::delivery::DeliveryCounts;
use notify_fan_out::metrics::record_delivery;
use notify_fan_out::ops::doctor::{Setup, Severity, diagnose};
use serde_json::json;

use crate::harness::{Delivery, TestDatabase, database_at};

/// Something of everything.
async fn busy() -> TestDatabase<'static> {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let [bo, cy] = world.users(["Bo", "Cy"]).await;
    for user in [bo, bo, cy] {
        let event = world.event("invite_accepted").await;
        db.queued_mail(event, user, "pending", None).await;
    }
    db.execute("UPDATE pending_emails SET delivery_type = 'aggregated' WHERE event_id > 1")
        .await;
    let ops = db.endpoint("slack", "ops").await;
    let billing = db.endpoint("webhook", "billing").await;
    let due = |age: &str| format!("now() - interval '{age}'");
    for delivery in [
        // Long ago enough that a slow test shows the same.
        Delivery::mail(bo).with("next_attempt_at", &due("1 hour")),
        Delivery::mail(cy)
            .status("pending", 2)
            .with("next_attempt_at", "now() + interval '1 hour'"),
        Delivery::mail(cy)
            .status("sending", 0)
            .with("lease_until", "now() + interval '1 minute'"),
        Delivery::mail(cy)
            .status("sending", 0)
            .with("lease_until", &due("20 minutes")),
        Delivery::mail(cy).ended("uncertain", 1, "broke"),
        Delivery::mail(bo).ended("delivered", 2, ""),
        Delivery::mail(bo).ended("delivered", 23, ""),
        Delivery::mail(bo).ended("delivered", 25, ""),
        Delivery::mail(bo).ended("cancelled", 1, "muted"),
        Delivery::endpoint("slack", ops).with("next_attempt_at", &due("1 minute")),
        Delivery::endpoint("webhook", billing).ended("dead", 1, "503"),
        Delivery::endpoint("webhook", billing).ended("dead", 1, "503"),
    ] {
        db.delivery(delivery).await;
    }
    db.execute(format!(
        "INSERT INTO notification_delivery_targets (target, paused_until, failing_since, failures, last_error)
         VALUES ('endpoint:{ops}', now() + interval '5 days 30 minutes', NULL, 0, NULL),
                ('endpoint:{billing}', NULL, now() - interval '2 days', 7, '503: busy'),
                ('email', now() - interval '5 minutes', NULL, 0, NULL);
         INSERT INTO notification_delivery_targets (target, disabled_reason, disabled_at)
         VALUES ('env:discord', '404: Unknown Webhook', now() - interval '3 hours');
         INSERT INTO notification_endpoints (id, name, channel, target, settings, enabled, disabled_reason, disabled_at)
         VALUES (gen_random_uuid(), 'old', 'webhook', 'x', '{{}}', false, '410: gone', now() - interval '2 days')"
    ))
    .await;
    db
}

#[tokio::test]
async fn status_shows_what_is_in_flight() {
    let db = busy().await;
    let status = db.json("status");
    let deliveries = &status["deliveries"];
    let names = "due paused scheduled retrying sending expired_leases dead uncertain delivered_last_day cancelled_last_day";
    let channels = deliveries["channels"].as_array().expect("channels").iter();
    let figures: Vec<_> = channels
        .map(|state| {
            let names = names.split(' ').map(|name| format!("{name}_count"));
            let figures: Vec<_> = names.map(|name| state[name].to_string()).collect();
            let channel = state["channel"].as_str().expect("a name");
            format!("{channel}: {}", figures.join(" "))
        })
        .collect();
    insta::assert_snapshot!(figures.join("\n"), @"
    email: 1 0 1 1 2 1 0 1 2 1
    sms: 0 0 0 0 0 0 0 0 0 0
    slack: 0 1 0 0 0 0 0 0 0 0
    discord: 0 0 0 0 0 0 0 0 0 0
    webhook: 0 0 0 0 0 0 2 0 0 0
    ");
    let age = deliveries["channels"][0]["oldest_due_age_seconds"].as_f64();
    assert!(
        age.is_some_and(|age| (3_600.0..7_200.0).contains(&age)),
        "{age:?}"
    );
    assert_eq!(deliveries["digest_recipients_count"], 2);
    let text = db.prints("status");
    let section: Vec<_> = text
        .lines()
        .skip_while(|line| !line.starts_with("E-mails"))
        .take_while(|line| !line.starts_with("Last hour"))
        .filter(|line| !line.starts_with("E-mails"))
        .collect();
    insta::assert_snapshot!(section.join("\n"), @"
                the aggregated ones are for the next digests of 2 people
    Deliveries           due  for  paused  scheduled  sending  dead  uncertain  sent in a day
                email      1   1h       0          1        2     0          1              2
                slack      0            1          0        0     0          0              0
                webhook    0            0          0        0     2          0              0
                → dead and uncertain ones, and why: notify-fan-out dead-letters list
                of those, 1 was attempted before
                → if no deliver is running: does cron start it, and is the channel configured?
                1 lease has expired: the sender died
                → the next notify-fan-out deliver reclaims them
                billing (webhook) has failed for 2d, 7 attempts: 503: busy
                env:discord (discord) has been disabled for 3h: 404: Unknown Webhook
                old (webhook) has been disabled for 2d: 410: gone
                ops (slack) is paused for 5d
    ");
}

#[tokio::test]
async fn doctor_finds_what_is_left_to_lie() {
    let db = busy().await;
    let complaints = async || {
        let checks = diagnose(&db.database(), &Setup::default())
            .await
            .expect("findings");
        let amiss = checks.iter().filter(|check| check.severity != Severity::Ok);
        let lines: Vec<_> = amiss
            .map(|check| format!("{:?} {}: {}", check.severity, check.name, check.found))
            .collect();
        lines.join("\n")
    };
    db.execute(
        "UPDATE pending_emails SET created_at = created_at - interval '3 hours';
         UPDATE notification_deliveries SET next_attempt_at = next_attempt_at - interval '3 hours' WHERE channel = 'slack'",
    )
    .await;
    insta::assert_snapshot!(complaints().await, @"
    Warn outgoing: waiting: immediate e-mails for more than 2 hours (1)
    Warn leases: expired leases of senders that died: 1, the oldest for 20 min
    Warn dead letters: failed for good: 2; may have arrived or not: 1
    Warn endpoints: disabled: env:discord: 404: Unknown Webhook; old (webhook): 410: gone
    Warn endpoints: failing for more than a day: billing (webhook): 503: busy
    ");
    db.execute(
        "UPDATE pending_emails SET created_at = created_at - interval '1 day';
         UPDATE notification_delivery_targets SET paused_until = NULL",
    )
    .await;
    insta::assert_snapshot!(complaints().await.lines().next().expect("a line"), @"Warn outgoing: waiting: immediate e-mails for more than 2 hours (1), e-mails for a digest for more than a day (2), deliveries for more than 2 hours (1)");
    // They are warnings: the job works.
    db.prints("doctor");
}

#[tokio::test]
async fn explain_tells_what_became_of_an_event() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let [ada, bo, cy] = world.users(["Ada", "Bo", "Cy"]).await;
    let org = world.org("Works", [ada, bo]).await;
    let event = world.event("invite_accepted").org(org).actor(cy).await;
    let quiet = db.prints(&format!("explain {event}"));
    assert!(!quiet.contains("Deliveries:"), "{quiet}");

    let billing = db.endpoint("webhook", "billing").await;
    let failed = db
        .delivery(
            Delivery::endpoint("webhook", billing)
                .of(event)
                .ended("dead", 1, "503: busy"),
        )
        .await;
    for attempt in 1..=5 {
        db.attempt(failed, attempt, "retry", "503: busy").await;
    }
    let sent = db
        .delivery(Delivery::mail(ada).of(event).status("delivered", 1))
        .await;
    db.attempt(sent, 1, "delivered", "").await;
    db.queued_mail(event, ada, "sent", Some(sent)).await;
    let digest = Delivery::mail(bo)
        .event_type("digest")
        .with("digest_window", "now()");
    let digest = db.delivery(digest.status("delivered", 1)).await;
    db.queued_mail(event, bo, "failed", Some(digest)).await;
    db.queued_mail(event, cy, "failed", None).await;
    db.execute(format!(
        "UPDATE pending_emails SET status_reason = 'cancelled: read meanwhile' WHERE delivery_id = {digest};
         UPDATE pending_emails SET status_reason = 'cancelled: muted' WHERE user_id = '{cy}'"
    ))
    .await;
    let waiting = Delivery::route("slack")
        .of(event)
        .with("next_attempt_at", "'2030-01-02T03:04:05Z'");
    db.delivery(waiting.status("pending", 2)).await;

    let shown = |options: &str| {
        let text = db.prints(&format!("explain {event} {options}"));
        let (_, section) = text.split_once("\nDeliveries:").expect("a section");
        section.to_owned()
    };
    let section = shown("");
    let lines: Vec<_> = section
        .lines()
        .skip(1)
        .map(|line| match line.split_once("dead 202") {
            Some((head, tail)) => format!("{head}dead …{}", &tail[tail.find(" (").unwrap_or(0)..]),
            None => line.to_owned(),
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    email    a…@example.com                   delivered (delivery 2)
    email    b…@example.com                   cancelled (digest 3): read meanwhile
    email    c…@example.com                   cancelled: muted
    slack    env:slack                        pending, due 2030-01-02 03:04:05 UTC (delivery 4), 2 attempts
    webhook  billing (webhook.example.com/…)  dead … (delivery 1), 6 attempts: 503: busy
      3  2026-01-02 03:07:05 UTC    0.2s  retry      503  unavailable  503: busy
      4  2026-01-02 03:08:05 UTC    0.2s  retry      503  unavailable  503: busy
      5  2026-01-02 03:09:05 UTC    0.2s  retry      503  unavailable  503: busy
      2 earlier attempts: notify-fan-out dead-letters show 1
    ");
    assert_eq!(shown(&format!("--user {ada}")).lines().count(), 2);
    let document = db.json(&format!("explain {event}"));
    assert_eq!(document["event_type"], "invite_accepted");
    let deliveries = document["deliveries"].as_array().expect("a list");
    assert_eq!(deliveries.len(), 5);
    let dead = deliveries
        .iter()
        .find(|delivery| delivery["status"] == "dead")
        .expect("it");
    assert_eq!(
        (&dead["to"], dead["attempts"].as_array().map(Vec::len)),
        (&json!("billing (webhook.example.com/…)"), Some(5))
    );
}

#[tokio::test]
async fn metrics_of_deliveries_add_up() {
    let db = busy().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deliver.prom");
    let counts = DeliveryCounts {
        outcomes: [((Channel::Email, "digest".to_owned(), "delivered"), 2)].into(),
        durations: vec![(Channel::Email, 0.3)],
        retries: [(Channel::Webhook, 1)].into(),
    };
    for _ in 0..2 {
        record_delivery(&path, &db.database(), &counts, 1.0, true)
            .await
            .expect("recorded");
    }
    let text = std::fs::read_to_string(&path).expect("a file");
    for line in [
        r#"notify_fan_out_deliveries_total{channel="email",event_type="digest",status="delivered"} 4"#,
        r#"notify_fan_out_delivery_retries_total{channel="webhook"} 2"#,
        r#"notify_fan_out_delivery_retries_total{channel="sms"} 0"#,
        r#"notify_fan_out_delivery_runs_total{result="success"} 2"#,
        r#"notify_fan_out_delivery_duration_seconds_count{channel="email"} 2"#,
        // Two pending, two being sent, and the mail that is not promoted yet.
        r#"notify_fan_out_delivery_queue_depth{channel="email"} 5"#,
        r#"notify_fan_out_delivery_queue_depth{channel="slack"} 1"#,
        r#"notify_fan_out_delivery_queue_depth{channel="sms"} 0"#,
        r#"notify_fan_out_delivery_oldest_due_age_seconds{channel="webhook"} 0"#,
        r#"notify_fan_out_dead_letters{channel="webhook",status="dead"} 2"#,
        r#"notify_fan_out_dead_letters{channel="email",status="uncertain"} 1"#,
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
    // Where the database is out of reach, the gauges keep what they were.
    let gone = database_at("postgres://nobody@127.0.0.1:1/none");
    record_delivery(&path, &gone, &counts, 1.0, false)
        .await
        .expect("recorded");
    let text = std::fs::read_to_string(&path).expect("a file");
    for line in [
        r#"notify_fan_out_delivery_runs_total{result="failure"} 1"#,
        r#"notify_fan_out_delivery_queue_depth{channel="email"} 5"#,
        r#"notify_fan_out_delivery_retries_total{channel="webhook"} 3"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn the_cost_follows_what_waits_and_not_the_history() {
    let db = TestDatabase::new().await;
    db.execute(
        "INSERT INTO notification_deliveries (channel, target, recipient, event_type, status, attempts, finished_at)
         SELECT 'email', 'email', n, 'x', 'delivered', 1, now() - interval '2 days' FROM generate_series(1, 20000) AS n;
         INSERT INTO notification_deliveries (channel, target, recipient, event_type, status, attempts, finished_at)
         SELECT 'email', 'email', 'd' || n, 'x', 'dead', 1, now() FROM generate_series(1, 10) AS n;
         ANALYZE notification_deliveries;
         CREATE FUNCTION plan_of(statement text) RETURNS SETOF text LANGUAGE plpgsql AS
             'BEGIN RETURN QUERY EXECUTE ''EXPLAIN '' || statement; END'",
    )
    .await;
    for statement in [
        include_str!("../../ops/status/channels.sql")
            .replace("$1", "200000")
            .replace("$2", "'{email}'"),
        include_str!("../../ops/doctor/waiting.sql")
            .replace("$1", "7200")
            .replace("$2", "86400"),
        include_str!("../../metrics/queue.sql").replace("$1", "'{email}'"),
        "SELECT 1 FROM notification_deliveries WHERE status IN ('dead', 'uncertain')".to_owned(),
    ] {
        let plan = db
            .texts(&format!("SELECT plan_of($plan${statement}$plan$)"))
            .await
            .join("\n");
        assert!(
            !plan.contains("Seq Scan on notification_deliveries"),
            "{plan}"
        );
    }
}
