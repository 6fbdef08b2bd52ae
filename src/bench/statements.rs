//! Where the time of the mixed load goes: per statement, round trip and commit.

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use serde_json::json;

use super::job::{self, BATCH};
use super::lab::Lab;
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
    slowest_ms: f64,
    wal_bytes: f64,
    hits: i64,
    reads: i64,
    spilled: i64,
}

const MIB: f64 = 1024.0 * 1024.0;

/// One run by one worker with the server's bookkeeping on: its time, and what the server spent on
/// each statement.
async fn tracked(lab: &mut Lab) -> anyhow::Result<(Duration, Vec<Statement>)> {
    let track = |what| {
        format!(
            "ALTER DATABASE {} SET pg_stat_statements.track = '{what}'",
            lab.name
        )
    };
    let (all, none) = (track("all"), track("none"));
    lab.sql(&all).await?;
    sqlx::raw_sql("SELECT pg_stat_statements_reset()")
        .execute(&mut lab.outside)
        .await?;
    let (time, _) = job::run(&lab.url, 1, &[])?;
    lab.sql(&none).await?;
    let statements = sqlx::query_as(include_str!("statements.sql"))
        .bind(&lab.name)
        .fetch_all(&mut lab.outside)
        .await?;
    Ok((time, statements))
}

/// What the slowest call of the statement in that file took in a run, planning included.
pub(crate) async fn slowest_ms(lab: &mut Lab, file: &str) -> anyhow::Result<f64> {
    let labels = labels()?;
    let (_, statements) = tracked(lab).await?;
    statements
        .iter()
        .find(|statement| label(statement, &labels) == file)
        .map(|statement| statement.slowest_ms)
        .with_context(|| format!("the run did not reach {file}"))
}

/// One run of the load, by statement.
pub(crate) async fn measure(lab: &mut Lab) -> anyhow::Result<Section> {
    lab.restore().await?;
    let (time, statements) = tracked(lab).await?;
    lab.expect_all_completed().await?;

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

/// The round trips and commits of a run, against those of a run with nothing to do.
pub(crate) async fn round_trips(lab: &mut Lab) -> anyhow::Result<Section> {
    lab.restore().await?;
    let (proxy, url) = lab.proxy()?;
    let before = lab.transactions().await?;
    job::run(&url, 1, &[])?;
    let server_commits = lab.transactions().await? - before;
    let load = proxy.take();
    lab.expect_all_completed().await?;
    job::run(&url, 1, &[])?;
    let idle = proxy.take();

    let events = f64::from(lab.options.events());
    let batches = f64::from(lab.options.events().div_ceil(BATCH));
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
        format!("more per batch of {BATCH}"),
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
    labels.sort_by_key(|(name, _)| name == "routed.sql");
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
