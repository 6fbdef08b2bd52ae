//! The real binary's flags and exit codes.

use std::process::{Command, Stdio};

use crate::harness::{TestDatabase, binary_at};

/// The exit code of a command whose output nobody reads.
fn unread(command: &mut Command) -> Option<i32> {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = command.stdout(writer).stderr(Stdio::null()).status();
    status.expect("the binary").code()
}

#[tokio::test]
async fn the_format_goes_before_and_behind_the_command() {
    let db = TestDatabase::new().await;
    for arguments in [
        &["--format", "json", "status"][..],
        &["status", "--format", "json"],
        &["--format=json", "run"],
        &["--format", "json"],
    ] {
        let output = db.cli(arguments).success().get_output().stdout.clone();
        let parsed = serde_json::from_slice::<serde_json::Value>(&output);
        assert!(parsed.is_ok(), "{arguments:?}: {parsed:?}");
    }
}

#[tokio::test]
async fn flags_of_run_are_refused_before_a_command() {
    let db = TestDatabase::new().await;
    db.execute("INSERT INTO domain_events (event_type) VALUES ('meeting_reminder')")
        .await;
    for arguments in [
        &["--dry-run", "status"][..],
        &["--dry-run", "run"],
        &["--limit", "1", "--format", "json", "retry", "--all"],
    ] {
        let refused = db.cli(arguments).code(2);
        let stderr = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
        assert!(stderr.contains("flags of run"), "{arguments:?}: {stderr}");
    }
    assert_eq!(db.statuses().await["pending"], 1, "nothing was run");
    db.cli(&["--dry-run"]).success();
}

#[tokio::test]
async fn a_closed_pipe_hides_no_failure() {
    let db = TestDatabase::new().await;
    assert_eq!(unread(db.binary().args(["--limit", "5"])), Some(0));
    for format in ["text", "json"] {
        let nowhere = "postgres://me@127.0.0.1:1/none";
        let code = unread(binary_at(nowhere).args(["run", "--format", format]));
        assert_eq!(code, Some(4), "{format}");
        db.execute("INSERT INTO domain_events (event_type) VALUES ('meeting_reminder')")
            .await;
        let code = unread(db.binary().args(["run", "--format", format]));
        assert_eq!(code, Some(3), "{format}");
    }
    db.execute("ALTER TABLE notification_processing RENAME claim_token TO gone")
        .await;
    assert_eq!(unread(db.binary().arg("run")), Some(1));
}

#[tokio::test]
async fn a_log_in_json_is_json_in_every_line() {
    let db = TestDatabase::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(".env"), "A LINE THAT IS NONE").expect("a file");
    let nowhere = "postgres://me@127.0.0.1:1/none";
    let command = |url: &str, arguments: &[&str]| {
        let mut command = binary_at(url);
        command.env("LOG_FORMAT", "json").args(arguments);
        command
    };
    let mut in_folder = command(nowhere, &["run"]);
    in_folder.current_dir(folder.path());
    let mut loud = command(nowhere, &["run"]);
    loud.env("LOG_LEVEL", "LOUD");
    for (mut command, code) in [
        (in_folder, 2),
        (loud, 2),
        (command(nowhere, &["run", "--no-such-flag"]), 2),
        (command("", &["run"]), 2),
        (command(nowhere, &["run"]), 4),
        (command(&db.url(), &["--dry-run", "status"]), 2),
    ] {
        let output = command.output().expect("the binary");
        assert_eq!(output.status.code(), Some(code), "{command:?}");
        assert_eq!(
            entries(&output.stderr).last().map(String::as_str),
            Some("ERROR"),
            "{command:?}"
        );
    }
    db.execute("INSERT INTO domain_events (event_type) VALUES ('meeting_reminder')")
        .await;
    for (job, message) in [("run", "Job completed"), ("deliver", "Delivery completed")] {
        let mut command = command(&db.url(), &[job]);
        let output = command
            .env("LOG_LEVEL", "ERROR")
            .output()
            .expect("the binary");
        assert_eq!(entries(&output.stderr), ["INFO"], "{output:?}");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            stderr.contains(&format!("\"message\":\"{message}\"")),
            "{stderr}"
        );
        assert_eq!(output.stdout, b"");
    }
    let report = command(&db.url(), &["run", "--format", "json"])
        .output()
        .expect("the binary");
    assert!(serde_json::from_slice::<serde_json::Value>(&report.stdout).is_ok());
}

/// The level of each line, which is a JSON object with its time.
fn entries(log: &[u8]) -> Vec<String> {
    let lines = std::str::from_utf8(log).expect("text").lines();
    let levels = lines.map(|line| {
        let entry: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(entry["timestamp"].is_string(), "{line}");
        entry["level"].as_str().expect("a level").to_owned()
    });
    levels.collect()
}

#[tokio::test]
async fn results_and_errors_carry_their_time() {
    let db = TestDatabase::new().await;
    let run = db.cli(&["run"]).success();
    let stdout = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    let refused = db.cli(&["--dry-run", "status"]).code(2);
    let stderr = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
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
        let output = Command::new("script")
            .args([
                "-qec",
                &format!("stty cols 120; exec {program} {arguments}"),
                "/dev/null",
            ])
            .current_dir(std::env::temp_dir())
            .envs([
                ("DATABASE_URL", db.superuser_url().as_str()),
                ("LOG_LEVEL", log),
                ("TERM", "xterm"),
            ])
            .stdin(Stdio::null())
            .output()
            .expect("script");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let seeded = shown("INFO", "seed --events 500");
    assert!(seeded.contains("inserting 500 events"), "{seeded:?}");
    let run = shown("WARN", "run");
    assert!(run.contains(" events, "), "{run:?}");
    let json = shown("WARN", "seed --format json --yes");
    assert!(
        serde_json::from_str::<serde_json::Value>(json.trim()).is_ok(),
        "{json:?}"
    );
}

/// Longer than the server takes as a `statement_timeout`.
#[tokio::test]
async fn stuck_after_a_month() {
    let db = TestDatabase::new().await;
    let mut command = db.binary();
    command.env("NOTIFY_FANOUT_STUCK_AFTER", "30d").arg("run");
    assert_cmd::Command::from_std(command).assert().success();
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
        let event = world.event("project_access_revoked");
        event
            .payload(serde_json::json!({"affected_user_id": bo}))
            .await;
        let mut command = db.binary();
        command.arg("run").env("NOTIFY_FANOUT_METRICS_FILE", &file);
        assert_cmd::Command::from_std(command).assert().success();
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
        command
            .arg(job)
            .env(variable, folder.path().join("job.txt"));
        let refused = assert_cmd::Command::from_std(command).assert().code(2);
        let error = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
        assert!(error.contains(variable), "{error}");
    }
}

/// Another exclusive instance holds the lock.
#[tokio::test]
async fn exclusive_run_refuses_a_second_instance() {
    let db = TestDatabase::new().await;
    let hold = db
        .hold("SELECT pg_advisory_xact_lock(31084793213384962)")
        .await;
    db.cli(&["run", "--exclusive"]).code(5);
    db.cli(&["run"]).success();
    hold.release().await;
    db.cli(&["run", "--alone"]).success();
}

#[tokio::test]
async fn config_shows_each_value_and_its_source_without_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = "NOTIFY_DIGEST_EVERY=12h\nNOTIFY_FANOUT_BATCH_SIZE=9\n";
    std::fs::write(folder.path().join(".env"), file).expect("a file");
    let mut command = binary_at("postgres://me:hunter2@db.example/app?password=hunter2");
    command
        .current_dir(folder.path())
        .env("NOTIFY_SMTP_URL", "smtp://me:hunter2@mail.example")
        .env("NOTIFY_SECRET_KEY", "hunter2")
        .env("NOTIFY_FANOUT_BATCH_SIZE", "8")
        .args(["config", "run", "--max-runtime", "5m"]);
    let shown = assert_cmd::Command::from_std(command).assert().code(2);
    let output = shown.get_output();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !(stdout.clone() + &stderr).contains("hunter2"),
        "{stdout}{stderr}"
    );
    assert!(stderr.contains("NOTIFY_SECRET_KEY: key 1"), "{stderr}");
    let lines: Vec<Vec<_>> = stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    for expected in [
        [
            "DATABASE_URL",
            "environment",
            "postgres://me@db.example/app",
        ],
        ["NOTIFY_SMTP_URL", "environment", "smtp://me@mail.example"],
        ["NOTIFY_FANOUT_BATCH_SIZE", "environment", "8"],
        ["NOTIFY_DIGEST_EVERY", ".env", "12h"],
        ["NOTIFY_FANOUT_MAX_RUNTIME", "flag", "5m"],
        ["NOTIFY_SECRET_KEY", "environment", "(hidden)"],
        ["NOTIFY_DELIVERY_CONCURRENCY", "default", "20"],
    ] {
        assert!(lines.contains(&expected.to_vec()), "{expected:?}: {stdout}");
    }
}

/// A wrong value of another command's variable, and no database.
#[tokio::test]
async fn every_command_refuses_every_wrong_value() {
    for arguments in [&["run"][..], &["preview"], &["status"]] {
        let mut command = binary_at("");
        command
            .env("NOTIFY_DELIVERY_MAX_AGE", "x")
            .env("NOTIFY_PRUNE_OLDER_THAN", "y")
            .args(arguments);
        let refused = assert_cmd::Command::from_std(command).assert().code(2);
        let stderr = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
        for variable in ["NOTIFY_DELIVERY_MAX_AGE", "NOTIFY_PRUNE_OLDER_THAN"] {
            assert!(stderr.contains(variable), "{arguments:?}: {stderr}");
        }
    }
}
