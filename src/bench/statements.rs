//! Where the time of the mixed load goes: per statement, round trip and commit.

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use serde_json::json;

use super::job::{self, BATCH};
use super::lab::Lab;
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
    let time = job::run_once(&lab.url)?;
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
    let total = |statement: &Statement| statement.exec_ms + statement.plan_ms;
    for statement in statements.iter().filter(|one| total(one) >= 1.0) {
        let label = label(statement, &labels);
        table.add_row([
            label.clone(),
            statement.calls.to_string(),
            statement.rows.to_string(),
            format!("{:.0}", total(statement)),
            format!("{:.2}", total(statement) / small(statement.calls)),
            format!("{:.0}", statement.plan_ms),
            format!("{:.1}", statement.wal_bytes / MIB),
            statement.hits.to_string(),
            statement.reads.to_string(),
            statement.spilled.to_string(),
        ]);
        results.push(json!({ "label": label, "figures": statement }));
    }
    let of_job = statements.iter().filter(|statement| statement.toplevel);
    let of_job: f64 = of_job.map(total).sum();
    Ok(Section {
        name: "statements",
        title: format!("Per statement: {} events, one worker", lab.options.events()),
        table,
        note: format!(
            "The process took {:.0} ms, {of_job:.0} ms of it in these statements. Indented: \
             statements that run inside of others (foreign keys, functions); their time is part of \
             the others'.",
            time.as_secs_f64() * 1e3,
        ),
        json: json!({ "seconds": time.as_secs_f64(), "statements": results }),
    })
}

/// The round trips and commits of a run, against those of a run with nothing to do.
pub(crate) async fn round_trips(lab: &mut Lab) -> anyhow::Result<Section> {
    lab.restore().await?;
    let (proxy, url) = lab.proxy()?;
    let before = lab.transactions().await?;
    job::run_once(&url)?;
    let server_commits = lab.transactions().await? - before;
    let load = proxy.take();
    lab.expect_all_completed().await?;
    job::run_once(&url)?;
    let idle = proxy.take();

    let events = f64::from(lab.options.events());
    let batches = f64::from(lab.options.events().div_ceil(BATCH));
    let per = |traffic: u64, units: f64| small(traffic.cast_signed()) / units;
    // Of the load alone, and per batch.
    let more = |load: u64, idle: u64| per(load - idle.min(load), batches);
    let mut table = table(&["", "round trips", "commits", "KiB sent", "KiB received"]);
    for (name, traffic) in [("the load", load), ("nothing due", idle)] {
        table.add_row([
            name.to_owned(),
            traffic.round_trips.to_string(),
            traffic.commits.to_string(),
            format!("{:.1}", per(traffic.bytes_sent, 1024.0)),
            format!("{:.1}", per(traffic.bytes_received, 1024.0)),
        ]);
    }
    let round_trips = more(load.round_trips, idle.round_trips);
    let sent = more(load.bytes_sent, idle.bytes_sent);
    let received = more(load.bytes_received, idle.bytes_received);
    table.add_row([
        format!("more per batch of {BATCH}"),
        format!("{round_trips:.2}"),
        format!("{:.2}", more(load.commits, idle.commits)),
        format!("{:.1}", sent / 1024.0),
        format!("{:.1}", received / 1024.0),
    ]);
    let commits = per(load.commits, events / 1000.0);
    Ok(Section {
        name: "round_trips",
        title: format!(
            "Round trips and commits: {} events, one worker",
            lab.options.events()
        ),
        table,
        note: format!(
            "Per 1,000 events: {commits:.2} commits. The server counted {server_commits} transactions.",
        ),
        json: json!({
            "load": load, "idle": idle, "commits_per_1000_events": commits,
            "round_trips_per_batch": round_trips,
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
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".sql") {
            let text = std::fs::read_to_string(&path)?;
            let first = text.lines().next().unwrap_or_default();
            labels.push((name.into_owned(), first.to_owned()));
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
    let label = known.map_or_else(
        || {
            let words: Vec<_> = statement.query.split_whitespace().collect();
            words.join(" ").chars().take(70).collect()
        },
        |(name, _)| name.clone(),
    );
    if statement.toplevel {
        label
    } else {
        format!("· {label}")
    }
}
