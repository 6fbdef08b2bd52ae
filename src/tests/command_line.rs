//! The real binary's flags and exit codes.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{RunCommand as _, TestDatabase, binary_at, json_lines};

const NOWHERE: &str = "postgres://me@127.0.0.1:1/none";
/// An event that nobody can decode: a run that meets it ends with code 3.
const MALFORMED: &str = "INSERT INTO domain_events (event_type) VALUES ('meeting_reminder')";

/// The exit code of a command whose output nobody reads.
fn unread(command: &mut Command) -> Option<i32> {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = command.stdout(writer).stderr(Stdio::null()).status();
    status.expect("the binary").code()
}

#[tokio::test]
async fn format_goes_before_and_behind_the_command() {
    let db = TestDatabase::new().await;
    for arguments in [
        &["--format", "json", "status"][..],
        &["status", "--format", "json"],
        &["--format=json", "run"],
        &["--format", "json"],
    ] {
        let output = db.binary().args(arguments).prints();
        assert!(output.parse::<Value>().is_ok(), "{arguments:?}: {output}");
    }
}

#[tokio::test]
async fn flags_of_run_are_refused_before_a_command() {
    let db = TestDatabase::new().await;
    db.execute(MALFORMED).await;
    for arguments in [
        &["--dry-run", "status"][..],
        &["--dry-run", "run"],
        &["--limit", "1", "--format", "json", "retry", "--all"],
    ] {
        let stderr = db.binary().args(arguments).fails(2);
        assert!(stderr.contains("flags of run"), "{arguments:?}: {stderr}");
    }
    assert_eq!(db.standings().await, "pending=1", "nothing was run");
    db.prints("--dry-run");
}

#[tokio::test]
async fn closed_pipe_hides_no_failure() {
    let db = TestDatabase::new().await;
    assert_eq!(unread(db.binary().args(["--limit", "5"])), Some(0));
    for format in ["text", "json"] {
        let run = ["run", "--format", format];
        assert_eq!(unread(binary_at(NOWHERE).args(run)), Some(4), "{format}");
        db.execute(MALFORMED).await;
        assert_eq!(unread(db.binary().args(run)), Some(3), "{format}");
    }
    db.execute("ALTER TABLE notification_processing RENAME claim_token TO gone")
        .await;
    assert_eq!(unread(db.binary().arg("run")), Some(1));
}

#[tokio::test]
async fn log_in_json_is_json_in_every_line() {
    let db = TestDatabase::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(".env"), "A LINE THAT IS NONE").expect("a file");
    let command = |url: &str, arguments: &[&str]| {
        let mut command = binary_at(url);
        command.env("LOG_FORMAT", "json").args(arguments);
        command
    };
    let mut in_folder = command(NOWHERE, &["run"]);
    in_folder.current_dir(folder.path());
    let mut loud = command(NOWHERE, &["run"]);
    loud.env("LOG_LEVEL", "LOUD");
    for (mut command, code) in [
        (in_folder, 2),
        (loud, 2),
        (command(NOWHERE, &["run", "--no-such-flag"]), 2),
        (command("", &["run"]), 2),
        (command(NOWHERE, &["run"]), 4),
        (command(&db.url(), &["--dry-run", "status"]), 2),
    ] {
        let entries = entries(&command.fails(code));
        assert_eq!(entries.last().expect("an entry")["level"], "ERROR");
    }
    db.execute(MALFORMED).await;
    for (job, code, message) in [
        ("run", 3, "Job completed"),
        ("deliver", 0, "Delivery completed"),
    ] {
        let mut command = command(&db.url(), &[job]);
        let ended = command.env("LOG_LEVEL", "ERROR").ends(code);
        let entries = entries(&ended.stderr);
        assert_eq!(entries.len(), 1, "{ended:?}");
        assert_eq!(entries[0]["level"], "INFO");
        assert_eq!(entries[0]["message"], message);
        assert_eq!(ended.stdout, "");
    }
    let report = command(&db.url(), &["run", "--format", "json"]).prints();
    assert!(report.parse::<Value>().is_ok(), "{report}");
}

/// The lines of a log, each with its time.
fn entries(log: &str) -> Vec<Value> {
    let entries = json_lines(log);
    let have_times = entries.iter().all(|entry| entry["timestamp"].is_string());
    assert!(have_times, "{log}");
    entries
}

#[tokio::test]
async fn results_and_errors_carry_their_time() {
    let db = TestDatabase::new().await;
    let stdout = db.prints("run");
    let stderr = db.fails("--dry-run status", 2);
    for (line, follows) in [
        (stdout.lines().last(), "Job completed"),
        (stderr.lines().next(), "ERROR"),
    ] {
        let (time, text) = line.and_then(|line| line.split_once(' ')).expect("a time");
        assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
        assert!(text.starts_with(follows), "{text}");
    }
}

/// A person at a terminal sees that something goes on; a log at level INFO says so by itself.
#[tokio::test]
async fn progress_is_shown_on_a_terminal() {
    let db = TestDatabase::new().await;
    let program = env!("CARGO_BIN_EXE_notify-fan-out");
    let shown = |log: &str, arguments: &str| {
        let in_terminal = format!("stty cols 120; exec {program} {arguments}");
        Command::new("script")
            .args(["-qec", &in_terminal, "/dev/null"])
            .current_dir(std::env::temp_dir())
            .env("DATABASE_URL", db.superuser_url())
            .env("LOG_LEVEL", log)
            .env("TERM", "xterm")
            .stdin(Stdio::null())
            .prints()
    };
    let seeded = shown("INFO", "seed --events 500");
    assert!(seeded.contains("inserting 500 events"), "{seeded:?}");
    let run = shown("WARN", "run");
    assert!(run.contains(" events, "), "{run:?}");
    let json = shown("WARN", "seed --format json --yes");
    assert!(json.trim().parse::<Value>().is_ok(), "{json:?}");
}

/// Longer than the server takes as a `statement_timeout`.
#[tokio::test]
async fn claims_may_be_stuck_after_a_month() {
    let db = TestDatabase::new().await;
    let mut command = db.binary();
    command.env("NOTIFY_FANOUT_STUCK_AFTER", "30d");
    command.arg("run").prints();
}

/// Each run adds to what the ones before it left in the file.
#[tokio::test]
async fn metrics_survive_between_runs() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let bo = world.user("Bo").await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("job.prom");
    for _ in 0..2 {
        world.revoked(bo).await;
        let mut command = db.binary();
        command.env("NOTIFY_FANOUT_METRICS_FILE", &file);
        command.arg("run").prints();
    }
    let text = std::fs::read_to_string(&file).expect("the file");
    for line in [
        "notify_fan_out_runs_total{result=\"success\"} 2",
        "notify_fan_out_events_total{outcome=\"completed\"} 2",
        "notify_fan_out_notifications_total 2",
        "notify_fan_out_event_latency_seconds_count 2",
        "notify_fan_out_backlog_events 0",
        "# TYPE notify_fan_out_event_latency_seconds histogram",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert!(!folder.path().join("job.prom.new").exists());
    for (job, variable) in [
        ("run", "NOTIFY_FANOUT_METRICS_FILE"),
        ("deliver", "NOTIFY_DELIVERY_METRICS_FILE"),
    ] {
        let mut command = db.binary();
        command.env(variable, folder.path().join("job.txt"));
        let error = command.arg(job).fails(2);
        assert!(error.contains(variable), "{error}");
    }
}

/// Another exclusive instance holds the lock.
#[tokio::test]
async fn exclusive_run_refuses_a_second_instance() {
    let db = TestDatabase::new().await;
    let lock = "SELECT pg_advisory_xact_lock(31084793213384962)";
    let hold = db.hold(lock).await;
    db.fails("run --exclusive", 5);
    db.prints("run");
    hold.release().await;
    db.prints("run --alone");
}

#[test]
fn config_shows_each_value_and_its_source_without_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = "NOTIFY_DIGEST_EVERY=12h\nNOTIFY_FANOUT_BATCH_SIZE=9\n";
    std::fs::write(folder.path().join(".env"), file).expect("a file");
    let shown = binary_at("postgres://me:hunter2@db.example/app?password=hunter2")
        .current_dir(folder.path())
        .env("NOTIFY_SMTP_URL", "smtp://me:hunter2@mail.example")
        .env("NOTIFY_SECRET_KEY", "hunter2")
        .env("NOTIFY_FANOUT_BATCH_SIZE", "8")
        .args(["config", "run", "--max-runtime", "5m"])
        .ends(2);
    let is_hidden = !(shown.stdout.clone() + &shown.stderr).contains("hunter2");
    assert!(is_hidden, "{shown:?}");
    let refused = "NOTIFY_SECRET_KEY: key 1";
    assert!(shown.stderr.contains(refused), "{shown:?}");
    let lines = shown.stdout.lines();
    let lines: Vec<_> = lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for expected in [
        "DATABASE_URL environment postgres://me@db.example/app",
        "NOTIFY_SMTP_URL environment smtp://me@mail.example",
        "NOTIFY_FANOUT_BATCH_SIZE environment 8",
        "NOTIFY_DIGEST_EVERY .env 12h",
        "NOTIFY_FANOUT_MAX_RUNTIME flag 5m",
        "NOTIFY_SECRET_KEY environment (hidden)",
        "NOTIFY_DELIVERY_CONCURRENCY default 20",
    ] {
        assert!(
            lines.iter().any(|line| line == expected),
            "{expected}: {lines:#?}"
        );
    }
}

/// A wrong value of another command's variable, and no database.
#[test]
fn every_command_refuses_every_wrong_value() {
    for command in ["run", "preview", "status"] {
        let stderr = binary_at("")
            .env("NOTIFY_DELIVERY_MAX_AGE", "x")
            .env("NOTIFY_PRUNE_OLDER_THAN", "y")
            .arg(command)
            .fails(2);
        for variable in ["NOTIFY_DELIVERY_MAX_AGE", "NOTIFY_PRUNE_OLDER_THAN"] {
            assert!(stderr.contains(variable), "{command}: {stderr}");
        }
    }
}
