//! Where the time of the mixed load goes: per statement, round trip and commit.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use serde_json::{Value, json};

use super::job;
use super::lab::{Lab, batch_size};
use super::proxy::Traffic;
use super::section::{Section, small, table};

/// What the server remembers of one statement.
#[derive(Debug, Serialize, sqlx::FromRow)]
struct Statement {
    query: String,
    toplevel: bool,
    calls: i64,
    rows: i64,
    exec_ms: f64,
    plan_ms: f64,
    wal_bytes: f64,
    hits: i64,
    reads: i64,
    spilled: i64,
}

const MIB: f64 = 1024.0 * 1024.0;

/// One run by one worker with the server's bookkeeping on.
pub(crate) async fn measure(lab: &mut Lab) -> anyhow::Result<Section> {
    lab.restore().await?;
    lab.sql("ALTER DATABASE bench SET pg_stat_statements.track = 'all'")
        .await?;
    sqlx::raw_sql("SELECT pg_stat_statements_reset()")
        .execute(&mut lab.outside)
        .await?;
    let (time, _) = job::run(&lab.url, 1, &[])?;
    lab.sql("ALTER DATABASE bench SET pg_stat_statements.track = 'none'")
        .await?;
    lab.expect_all_completed().await?;
    let statements: Vec<Statement> = sqlx::query_as(include_str!("statements.sql"))
        .bind("bench")
        .fetch_all(&mut lab.outside)
        .await?;

    let labels = labels()?;
    let mut table = table(&[
        "statement",
        "calls",
        "rows",
        "total ms",
        "mean ms",
        "plan ms",
        "WAL MiB",
        "buffer hits",
        "reads",
        "spilled",
    ]);
    let mut results = Vec::new();
    for statement in statements
        .iter()
        .filter(|statement| statement.exec_ms + statement.plan_ms >= 1.0)
    {
        let total = statement.exec_ms + statement.plan_ms;
        let label = label(statement, &labels);
        table.add_row([
            label.clone(),
            statement.calls.to_string(),
            statement.rows.to_string(),
            format!("{total:.0}"),
            format!("{:.2}", total / small(statement.calls)),
            format!("{:.0}", statement.plan_ms),
            format!("{:.1}", statement.wal_bytes / MIB),
            statement.hits.to_string(),
            statement.reads.to_string(),
            statement.spilled.to_string(),
        ]);
        results.push(json!({ "label": label, "figures": statement }));
    }
    let of_job: f64 = statements
        .iter()
        .filter(|statement| statement.toplevel)
        .map(|statement| statement.exec_ms + statement.plan_ms)
        .sum();
    Ok(Section {
        name: "statements",
        title: format!("Per statement: {} events, one worker", lab.options.events()),
        table,
        notes: vec![format!(
            "The process took {:.0} ms, {of_job:.0} ms of it in these statements. Indented: \
             statements that run inside of others (foreign keys, functions); their time is part of \
             the others'.",
            time.as_secs_f64() * 1e3,
        )],
        json: json!({ "seconds": time.as_secs_f64(), "statements": results }),
    })
}

/// The statements in the JSON result of an earlier run.
pub(crate) fn of_earlier(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let mut result: Value =
        serde_json::from_str(&text).with_context(|| file.display().to_string())?;
    let statements = result["statements"].take();
    anyhow::ensure!(
        statements.is_object(),
        "{} has no statements: it takes a run that measured them",
        file.display()
    );
    Ok(statements)
}

/// What each statement took before and takes now.
pub(crate) fn compare(before: &Value, now: &Value) -> anyhow::Result<Section> {
    let (total_before, total_now) = (totals(before)?, totals(now)?);
    let mut labels: Vec<&str> = total_now.iter().map(|(label, _)| label.as_str()).collect();
    for (label, _) in &total_before {
        if !labels.contains(&label.as_str()) {
            labels.push(label);
        }
    }
    let mut table = table(&["statement", "before ms", "now ms", "ratio"]);
    let mut results = Vec::new();
    let shown = |value: Option<f64>, digits: usize| {
        value.map_or_else(String::new, |value| format!("{value:.digits$}"))
    };
    for label in labels {
        let of = |totals: &[(String, f64)]| {
            let found = totals.iter().find(|(name, _)| name == label);
            found.map(|(_, ms)| *ms)
        };
        let (before, now) = (of(&total_before), of(&total_now));
        let ratio = before.zip(now).map(|(before, now)| now / before);
        table.add_row([
            label.to_owned(),
            shown(before, 0),
            shown(now, 0),
            shown(ratio, 2),
        ]);
        results.push(json!({ "label": label, "before_ms": before, "now_ms": now, "ratio": ratio }));
    }
    let seconds = |of: &Value| of["seconds"].as_f64().unwrap_or(f64::NAN);
    let (before, now) = (seconds(before), seconds(now));
    table.add_row([
        "the whole process".to_owned(),
        format!("{:.0}", before * 1e3),
        format!("{:.0}", now * 1e3),
        format!("{:.2}", now / before),
    ]);
    Ok(Section {
        name: "statements_before",
        title: "Per statement, before and now".to_owned(),
        table,
        notes: vec![
            "One run each, execution and planning together; the earlier ones are from another run \
             of the benchmark. Only what took a millisecond or more is kept."
                .to_owned(),
        ],
        json: json!({ "statements": results, "before_seconds": before, "now_seconds": now }),
    })
}

/// Milliseconds by label, in the order in which the labels come first.
fn totals(section: &Value) -> anyhow::Result<Vec<(String, f64)>> {
    let mut totals: Vec<(String, f64)> = Vec::new();
    for statement in section["statements"].as_array().into_iter().flatten() {
        let label = statement["label"].as_str().context("a label is missing")?;
        let ms = |key: &str| {
            let value = statement["figures"][key].as_f64();
            value.with_context(|| format!("{key} of {label} is missing"))
        };
        let ms = ms("exec_ms")? + ms("plan_ms")?;
        match totals.iter_mut().find(|(name, _)| name == label) {
            Some((_, total)) => *total += ms,
            None => totals.push((label.to_owned(), ms)),
        }
    }
    Ok(totals)
}

/// Leaves the plans of one run's statements, as they were carried out, in a file.
pub(crate) async fn plans(lab: &mut Lab, file: &Path) -> anyhow::Result<()> {
    let log = std::env::var("BENCH_SERVER_LOG").context("BENCH_SERVER_LOG is not set")?;
    lab.restore().await?;
    lab.sql(include_str!("plans.sql")).await?;
    let before = std::fs::read(&log).with_context(|| log.clone())?.len();
    job::run(&lab.url, 1, &[])?;
    lab.sql("ALTER DATABASE bench RESET session_preload_libraries")
        .await?;
    let plans = std::fs::read(&log)?;
    std::fs::write(file, &plans[before.min(plans.len())..])?;
    Ok(())
}

/// The round trips and commits of a run, against those of a run with nothing to do.
pub(crate) async fn round_trips(lab: &mut Lab) -> anyhow::Result<Section> {
    lab.restore().await?;
    let (proxy, url) = lab.proxy()?;
    let before = lab.commits().await?;
    job::run(&url, 1, &[])?;
    let server_commits = lab.commits().await? - before;
    let load = proxy.take();
    lab.expect_all_completed().await?;
    job::run(&url, 1, &[])?;
    let idle = proxy.take();

    let events = f64::from(lab.options.events());
    let batch_size = batch_size()?;
    let batches = f64::from(lab.options.events().div_ceil(batch_size));
    let per = |traffic: u64, units: f64| small(traffic.cast_signed()) / units;
    let mut table = table(&["", "round trips", "commits", "KiB sent", "KiB received"]);
    let row = |name: &str, traffic: Traffic| {
        [
            name.to_owned(),
            traffic.round_trips.to_string(),
            traffic.commits.to_string(),
            format!("{:.1}", per(traffic.bytes_sent, 1024.0)),
            format!("{:.1}", per(traffic.bytes_received, 1024.0)),
        ]
    };
    table.add_row(row("the load", load));
    table.add_row(row("nothing due", idle));
    let more =
        |of: fn(&Traffic) -> u64, units: f64| per(of(&load) - of(&idle).min(of(&load)), units);
    table.add_row([
        format!("more per batch of {batch_size}"),
        format!("{:.2}", more(|traffic| traffic.round_trips, batches)),
        format!("{:.2}", more(|traffic| traffic.commits, batches)),
        format!(
            "{:.1}",
            more(|traffic| traffic.bytes_sent, batches * 1024.0)
        ),
        format!(
            "{:.1}",
            more(|traffic| traffic.bytes_received, batches * 1024.0)
        ),
    ]);
    let commits = per(load.commits, events / 1000.0);
    Ok(Section {
        name: "round_trips",
        title: format!(
            "Round trips and commits: {} events, one worker",
            lab.options.events()
        ),
        table,
        notes: vec![format!(
            "Per 1,000 events: {commits:.2} commits. The server counted {server_commits} transactions.",
        )],
        json: json!({
            "load": load, "idle": idle, "commits_per_1000_events": commits,
            "round_trips_per_batch": more(|traffic| traffic.round_trips, batches),
            "server_commits": server_commits,
        }),
    })
}

/// The job's statements by the first line of their files.
fn labels() -> anyhow::Result<Vec<(String, String)>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/fan_out");
    let mut labels = Vec::new();
    for entry in std::fs::read_dir(folder).context(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            let text = std::fs::read_to_string(&path)?;
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            labels.push((name, text.lines().next().unwrap_or_default().to_owned()));
        }
    }
    // The common head is named only where nothing more particular is.
    labels.sort_by_key(|(name, _)| name == "resolve.sql");
    Ok(labels)
}

fn label(statement: &Statement, labels: &[(String, String)]) -> String {
    let known = labels
        .iter()
        .find(|(_, line)| !line.is_empty() && statement.query.contains(line.as_str()));
    let words = statement
        .query
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let label = known.map_or_else(
        || words.chars().take(70).collect(),
        |(name, _)| name.clone(),
    );
    if statement.toplevel {
        label
    } else {
        format!("· {label}")
    }
}
