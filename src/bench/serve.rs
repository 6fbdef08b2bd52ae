//! The daemon: from the commit of an event to that of its notification, what the application's commits pay for
//! it, and what it costs while nothing happens.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};

use super::job::Daemon;
use super::lab::Lab;
use super::section::{Section, table};

/// Events per second of the application, each committed alone.
const RATES: [u32; 4] = [1, 10, 100, 500];
/// Commits per second whose time is compared.
const COMMITS: [u32; 2] = [1_000, 2_000];
/// Connections of the application.
const CONNECTIONS: usize = 16;
/// An event of the load, anew.
const INSERT: &str = "
    INSERT INTO domain_events (event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload)
    SELECT event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload
      FROM bench.events WHERE id = $1";
const NOTIFY: &str = "SELECT pg_notify('bench', '')";

/// How long each measurement takes.
fn length(lab: &Lab) -> Duration {
    Duration::from_secs(if lab.options.quick { 3 } else { 30 })
}

/// Times in milliseconds.
struct Times(Vec<f64>);

impl Times {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_unstable_by(f64::total_cmp);
        Self(times)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a list"
    )]
    fn at(&self, part: f64) -> f64 {
        let place = ((self.0.len() as f64 * part).ceil() as usize).max(1) - 1;
        self.0.get(place).copied().unwrap_or(f64::NAN)
    }

    fn cells(&self) -> [String; 3] {
        [0.5, 0.99, 1.0].map(|part| format!("{:.1}", self.at(part)))
    }

    fn json(&self) -> Value {
        json!({ "count": self.0.len(), "p50_ms": self.at(0.5), "p99_ms": self.at(0.99), "max_ms": self.at(1.0) })
    }
}

/// From commit to commit.
pub(crate) async fn latency(lab: &mut Lab) -> anyhow::Result<Section> {
    let mut table = table(&["mode", "events/s", "p50 ms", "p99 ms", "max ms"]);
    let mut results = Vec::new();
    for mode in ["listen", "poll"] {
        for rate in RATES {
            lab.empty().await?;
            let daemon = Daemon::start(&lab.url, &["--no-deliver"], &[("NOTIFY_WAKE", mode)])?;
            until(lab, "EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'notify-fan-out serve%')").await?;
            apply(lab, rate, None).await?;
            until(lab, "NOT EXISTS (SELECT FROM notification_processing WHERE processing_status <> 'completed')").await?;
            daemon.stop()?;
            let times = Times::of(
                sqlx::query_scalar(
                    "SELECT extract(epoch FROM pg_xact_commit_timestamp(p.xmin) - pg_xact_commit_timestamp(e.xmin))::float8 * 1000
                       FROM notification_processing p JOIN domain_events e ON e.id = p.event_id",
                )
                .fetch_all(&mut lab.db)
                .await
                .context("track_commit_timestamp has to be on")?,
            );
            let [p50, p99, max] = times.cells();
            table.add_row([mode.to_owned(), rate.to_string(), p50, p99, max]);
            results.push(json!({ "mode": mode, "rate": rate, "latency": times.json() }));
        }
    }
    Ok(Section {
        name: "serve_latency",
        title: format!("From the commit of an event to that of its notifications, {} s each", length(lab).as_secs()),
        table,
        note: "Single-event commits of the mixed load at a steady rate; both times are the server's own \
               (track_commit_timestamp). The daemon has its defaults: two workers."
            .to_owned(),
        json: json!(results),
    })
}

/// What the application's commits take.
pub(crate) async fn commits(lab: &mut Lab) -> anyhow::Result<Section> {
    let mut table = table(&[
        "commits/s",
        "beside",
        "p50 ms",
        "p99 ms",
        "max ms",
        "done/s",
    ]);
    let mut results = Vec::new();
    for rate in COMMITS {
        for (beside, with_daemon, notify) in [
            ("the trigger alone", false, None),
            ("a daemon", true, None),
            ("a NOTIFY in each", false, Some(NOTIFY)),
        ] {
            lab.empty().await?;
            let daemon = with_daemon
                .then(|| Daemon::start(&lab.url, &["--no-deliver"], &[]))
                .transpose()?;
            let started = Instant::now();
            let times = apply(lab, rate, notify).await?;
            let seconds = started.elapsed().as_secs_f64();
            if let Some(daemon) = daemon {
                daemon.stop()?;
            }
            let done = format!("{:.0}", f64::from(u32::try_from(times.0.len())?) / seconds);
            let [p50, p99, max] = times.cells();
            table.add_row([rate.to_string(), beside.to_owned(), p50, p99, max, done]);
            results.push(json!({ "rate": rate, "beside": beside, "commit": times.json() }));
        }
    }
    Ok(Section {
        name: "serve_commits",
        title: format!("What an application's commits take, {CONNECTIONS} connections, {} s each", length(lab).as_secs()),
        table,
        note: "From when a single-event commit was due to its answer: what waits for a free connection counts."
            .to_owned(),
        json: json!(results),
    })
}

/// What the daemon costs while nothing happens.
pub(crate) async fn idle(lab: &mut Lab) -> anyhow::Result<Section> {
    lab.empty().await?;
    let daemon = Daemon::start(&lab.url, &["--no-deliver"], &[])?;
    until(
        lab,
        "SELECT last_value % 1024 = 0 FROM notification_wake_seq",
    )
    .await?;
    // The looks become rarer for some seconds yet.
    tokio::time::sleep(Duration::from_secs(if lab.options.quick { 1 } else { 15 })).await;
    let seconds = length(lab).as_secs_f64() * 2.0;
    let before = (lab.activity().await?, daemon.cpu()?);
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    let after = (lab.activity().await?, daemon.cpu()?);
    let resident = daemon.resident_bytes()?;
    daemon.stop()?;
    let per_second = |count: i64| super::section::small(count) / seconds;
    let transactions = per_second(after.0.0 - before.0.0);
    let written = after.0.1 - before.0.1;
    let cpu = after.1.saturating_sub(before.1).as_secs_f64() / seconds * 100.0;
    let mib = resident.div_ceil(1024 * 1024);
    let mut table = table(&["", "measured"]);
    table.add_row([
        "transactions per second".to_owned(),
        format!("{transactions:.2}"),
    ]);
    table.add_row(["rows written".to_owned(), written.to_string()]);
    table.add_row(["resident MiB".to_owned(), mib.to_string()]);
    table.add_row(["processor %".to_owned(), format!("{cpu:.2}")]);
    Ok(Section {
        name: "serve_idle",
        title: format!("An idle daemon, over {seconds:.0} s"),
        table,
        note: "Transactions and rows are the server's counts for the database; each look is a transaction of one statement."
            .to_owned(),
        json: json!({ "transactions_per_second": transactions, "rows_written": written, "resident_bytes": resident, "cpu_percent": cpu }),
    })
}

/// Commits events at a steady rate, as long as a measurement takes; what each commit took.
async fn apply(lab: &Lab, rate: u32, and: Option<&'static str>) -> anyhow::Result<Times> {
    let total = u64::from(rate) * length(lab).as_secs();
    let events = u64::from(lab.options.events());
    let start = Instant::now();
    let mut work = tokio::task::JoinSet::new();
    for connection in 0..CONNECTIONS as u64 {
        let mut db = lab.connect().await?;
        work.spawn(async move {
            let mut times = Vec::new();
            let mut number = connection;
            while number < total {
                let due = start + Duration::from_secs(1) * u32::try_from(number)? / rate;
                tokio::time::sleep_until(due.into()).await;
                commit(&mut db, i64::try_from(1 + number % events)?, and).await?;
                times.push(due.elapsed().as_secs_f64() * 1e3);
                number += CONNECTIONS as u64;
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = work.join_next().await {
        times.extend(done??);
    }
    Ok(Times::of(times))
}

async fn commit(
    db: &mut PgConnection,
    event: i64,
    and: Option<&'static str>,
) -> anyhow::Result<()> {
    let Some(and) = and else {
        sqlx::query(INSERT).bind(event).execute(db).await?;
        return Ok(());
    };
    let mut transaction = sqlx::Connection::begin(db).await?;
    sqlx::query(INSERT)
        .bind(event)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(and).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

async fn until(lab: &Lab, condition: &str) -> anyhow::Result<()> {
    let since = Instant::now();
    let query = format!("SELECT ({condition})::boolean");
    let mut db = lab.connect().await?;
    loop {
        let met: Option<bool> = sqlx::query_scalar(AssertSqlSafe(query.clone()))
            .fetch_one(&mut db)
            .await?;
        if met == Some(true) {
            return Ok(());
        }
        ensure!(
            since.elapsed() < Duration::from_mins(2),
            "never became true: {condition}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
