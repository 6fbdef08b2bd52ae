//! `status` names what waits, what failed, and why.

use serde_json::json;

use super::{Stage, json_of, text_of};
use crate::harness::{TestDatabase, binary_at};

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
    let seen = status(&stage.db.superuser_url());
    let holder = &seen["vacuum"]["held_back_by"][0];
    assert_eq!(holder["kind"], "session", "{seen}");
    assert_eq!(holder["state"], "idle in transaction", "{seen}");
    // The job's role may not look into the superuser's sessions, and says so.
    if stage.db.url() != stage.db.superuser_url() {
        let blind = status(&stage.db.url());
        let shown = blind["vacuum"]["held_back_by"].as_array().expect("a list");
        assert!(
            !shown.iter().any(|other| other["pid"] == holder["pid"]),
            "{blind}"
        );
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
