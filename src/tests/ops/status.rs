//! `status` names what waits, what failed, and why.

use std::fmt::Write as _;

use super::Stage;
use crate::grants::Role;
use crate::harness::{TestDatabase, Worker, binary_at, ends};

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

    let status = stage.db.json("status");
    let mut shown = String::new();
    for path in [
        "/backlog/due_count",
        "/backlog/scheduled_count",
        "/backlog/retrying_count",
        "/backlog/without_handler_count",
        "/backlog/without_handler/0/event_type",
        "/processing/count",
        "/processing/stuck_count",
        "/failed/count",
        "/failed/kinds/0/count",
        "/failed/kinds/0/error",
        "/failed/kinds/0/event_types",
        "/failed/kinds/1/error",
        "/pending_emails/immediate_count",
        "/last_hour/completed_count",
        "/last_day/completed_count",
    ] {
        let value = status.pointer(path).expect(path);
        let _ = writeln!(shown, "{path} {value}");
    }
    insta::assert_snapshot!(shown, @r#"
    /backlog/due_count 1
    /backlog/scheduled_count 1
    /backlog/retrying_count 1
    /backlog/without_handler_count 1
    /backlog/without_handler/0/event_type "invoice_paid"
    /processing/count 2
    /processing/stuck_count 1
    /failed/count 3
    /failed/kinds/0/count 2
    /failed/kinds/0/error "invalid project_access_granted event: payload.affected_user_id is required"
    /failed/kinds/0/event_types ["project_access_granted"]
    /failed/kinds/1/error "expired: pending for longer than the age limit"
    /pending_emails/immediate_count 3
    /last_hour/completed_count 3
    /last_day/completed_count 3
    "#);
    let seconds = |path: &str| status.pointer(path).and_then(serde_json::Value::as_f64);
    let age = seconds("/backlog/oldest_age_seconds").expect("an age");
    assert!((7_200.0..7_300.0).contains(&age), "{age}");
    let latency = seconds("/last_hour/latency_p99_seconds").expect("a latency");
    assert!((0.0..60.0).contains(&latency), "{latency}");
    assert_eq!(status["tables"].as_array().map(Vec::len), Some(5));

    let text = stage.db.prints("status");
    for part in [
        "Backlog     1 due",
        "1 waits for their time",
        "handler of invoice_paid, the oldest 2h old, expires in 2",
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
    let status = db.json("status");
    let kinds = status["failed"]["kinds"].as_array().expect("kinds").iter();
    let mut words: Vec<_> = kinds
        .map(|kind| format!("{} {}", kind["count"], kind["error"]))
        .collect();
    words.sort();
    insta::assert_snapshot!(words.join("\n"), @r#"
    10 ""
    10 "database refused: 22P02: invalid input syntax for type uuid: …"
    10 "no person … at ……in line …"
    10 "stuck: claimed by …, which never settled it"
    "#);
    for kind in &words[1..] {
        let error = kind["10 \"".len()..].trim_end_matches('"');
        let found = db.json(&format!("retry --error '{error}' --dry-run"));
        assert_eq!(found["retried_count"], 10, "{error}");
    }
}

#[tokio::test]
async fn status_names_what_holds_vacuum_back_and_writes_nothing() {
    let db = TestDatabase::new().await;
    let hold = db
        .hold("INSERT INTO profiles (id, email) VALUES (gen_random_uuid(), 'x')")
        .await;
    let (seen, _) = ends(binary_at(&db.superuser_url()), "status --format json", 0);
    let seen: serde_json::Value = serde_json::from_str(&seen).expect("JSON");
    let holder = &seen["vacuum"]["held_back_by"][0];
    assert_eq!(holder["kind"], "session", "{seen}");
    assert_eq!(holder["state"], "idle in transaction", "{seen}");
    // The job's role may not look into the superuser's sessions, and says so.
    if db.url() != db.superuser_url() {
        let blind = db.json("status");
        let shown = blind["vacuum"]["held_back_by"].as_array().expect("a list");
        let is_shown = shown.iter().any(|other| other["pid"] == holder["pid"]);
        assert!(!is_shown, "{blind}");
        let hidden = blind["vacuum"]["hidden_sessions_count"].as_u64();
        assert!(hidden >= Some(1), "{blind}");
    }
    drop(hold);
    let name = db.name();
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    db.execute(read_only).await;
    for line in [
        "status",
        "retry --all --dry-run",
        "prune --older-than 1d --events --dry-run",
    ] {
        db.prints(line);
    }
}

#[tokio::test]
async fn status_shows_the_daemons() {
    let db = TestDatabase::new().await;
    assert_eq!(db.json("status")["daemons"], serde_json::json!([]));
    let serve = |mode: &str| {
        let mut command = db.binary();
        command.args(["serve", "--no-deliver"]);
        Worker::start(command.env("NOTIFY_WAKE", mode).env("HOSTNAME", mode))
    };
    let daemons = ["listen", "poll"].map(serve);
    let named = "SELECT count(*) = 2 FROM pg_stat_activity
                  WHERE datname = current_database() AND application_name ~ '^notify-fan-out serve (listen|poll):.* (listen|poll)$'";
    db.until(named).await;
    let status = db.json("status");
    let seen = status["daemons"].as_array().expect("a list");
    assert_eq!(seen.len(), 2, "{status}");
    for (daemon, mode) in seen.iter().zip(["listen", "poll"]) {
        assert_eq!(daemon["mode"], mode, "{status}");
        let id = daemon["id"].as_str().expect("an id");
        assert_eq!(id.split(':').next(), Some(mode), "{status}");
        assert!(daemon["connected_at"].is_string() && daemon["seen_at"].is_string());
    }
    let shown = db.prints("status");
    assert!(shown.contains("\nDaemons     listen:"), "{shown}");
    assert!(shown.contains(" polls, connected for "), "{shown}");
    // Another role sees who is there, and not since when.
    let reader = Role::new(&db, "reader");
    reader.granted(&db.superuser_url(), &["readonly=1"]);
    let (seen, _) = ends(binary_at(&reader.url), "status --format json", 0);
    let seen: serde_json::Value = serde_json::from_str(&seen).expect("JSON");
    for (daemon, mode) in [
        (&seen["daemons"][0], "listen"),
        (&seen["daemons"][1], "poll"),
    ] {
        assert_eq!(daemon["mode"], mode, "{seen}");
        assert!(daemon["connected_at"].is_null(), "{seen}");
    }
    let (shown, _) = ends(binary_at(&reader.url), "status", 0);
    assert!(shown.contains(" polls\n"), "{shown}");
    for daemon in daemons {
        daemon.signal("TERM");
        daemon.end().await;
    }
}

#[tokio::test]
async fn an_error_is_not_dressed_up_as_a_result() {
    let mut stage = Stage::new().await;
    let event = stage.invalid().await;
    let db = &stage.db;
    db.run().await;
    db.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$no$$; END';
         CREATE TRIGGER refuse BEFORE UPDATE OR DELETE ON notification_processing
            FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .await;
    let (stdout, _) = db.ends(&format!("retry {event}"), 1);
    assert_eq!(stdout, "");
    assert!(db.state(event).await.starts_with("failed"));
}
