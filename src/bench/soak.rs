//! A steady stream of events with a run each second, for long: whether latency, dead rows and sizes
//! level off, and how far a long transaction disturbs that.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use sqlx::types::chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::job;
use super::lab::Lab;
use super::sample::Sample;
use super::section::{Section, small, table};
use super::writer;

/// The soak is shown in so many parts. The middle third of them is that of the long transaction.
const PARTS: u32 = 12;
/// Transactions of the writer per second.
const WRITES: u32 = 20;
/// Runs at once, at most.
const AT_ONCE: usize = 8;

/// A connection tells the server of what it did once a second, when it does the next thing.
const STATISTICS_DELAY: Duration = Duration::from_millis(1100);

/// A run at work, and the part that it began in.
type Run = (usize, JoinHandle<anyhow::Result<f64>>);

/// What the tables were at the end of a part.
#[derive(Debug, Serialize, sqlx::FromRow)]
struct Growth {
    name: String,
    live: i64,
    dead: i64,
    bytes: i64,
    vacuums: i64,
}

/// How the events of a part fared.
#[derive(Debug, Serialize, sqlx::FromRow)]
struct Pace {
    part: i32,
    events: i64,
    /// Median, 99th percentile and maximum of the latency.
    ms: Vec<f64>,
}

/// One part of the soak.
#[derive(Debug, Serialize)]
struct Part {
    /// Whether the long transaction was open in it.
    held: bool,
    /// Milliseconds of each run that began in it.
    runs: Vec<f64>,
    /// Runs that were due while too many others were still at work.
    skipped: u32,
    growth: Vec<Growth>,
    due_index_bytes: i64,
}

pub(crate) async fn measure(lab: &mut Lab) -> anyhow::Result<[Section; 2]> {
    let seconds = lab.options.soak_seconds();
    let rate = lab.options.rate;
    let kept =
        "SELECT count(*) FROM pg_settings WHERE name = 'track_commit_timestamp' AND setting = 'on'";
    anyhow::ensure!(
        lab.count(kept).await? == 1,
        "the server needs track_commit_timestamp = on: a latency ends with the commit"
    );
    eprintln!("soaking for {seconds:.0} s …");
    lab.restore().await?;
    lab.sql("TRUNCATE domain_events RESTART IDENTITY CASCADE")
        .await?;
    // The server counts from nothing, once it has heard of all that was done here until now.
    tokio::time::sleep(STATISTICS_DELAY).await;
    lab.sql("SELECT 1").await?;
    lab.sql("SELECT pg_stat_reset()").await?;
    let start: DateTime<Utc> = sqlx::query_scalar("SELECT clock_timestamp()")
        .fetch_one(&mut lab.db)
        .await?;
    let began = Instant::now();
    let part_length = Duration::from_secs_f64(seconds / f64::from(PARTS));
    let writer = lab.connect().await?;
    let writing = tokio::spawn(write(
        writer,
        lab.options.events(),
        rate,
        began,
        part_length * PARTS,
    ));

    let mut parts = Vec::new();
    let mut holder = None;
    let mut clock = interval_at(began, Duration::from_secs(1));
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut working: Vec<Run> = Vec::new();
    let mut runs = vec![Vec::new(); PARTS as usize];
    for part in 0..PARTS {
        let held = (PARTS / 3..PARTS * 2 / 3).contains(&part);
        match (held, holder.take()) {
            (true, None) => holder = Some(lab.hold().await?),
            (true, Some(open)) => holder = Some(open),
            (false, Some(open)) => open.close().await?,
            (false, None) => {}
        }
        let end = began + part_length * (part + 1);
        let mut skipped = 0;
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(end) => break,
                _ = clock.tick() => {}
            }
            working = collect(working, &mut runs).await?;
            if working.len() < AT_ONCE {
                let url = lab.url.clone();
                let run = move || Ok(job::run(&url, 1, &[])?.0.as_secs_f64() * 1e3);
                working.push((part as usize, tokio::task::spawn_blocking(run)));
            } else {
                skipped += 1;
            }
        }
        parts.push(Part {
            held,
            runs: Vec::new(),
            skipped,
            growth: sqlx::query_as(include_str!("growth.sql"))
                .fetch_all(&mut lab.db)
                .await?,
            due_index_bytes: lab
                .count("SELECT pg_relation_size('notification_processing_due_idx')")
                .await?,
        });
        eprintln!("  {:.0} s", began.elapsed().as_secs_f64());
    }
    writing.await??;
    for (part, run) in working {
        runs[part].push(run.await??);
    }
    for (part, runs) in parts.iter_mut().zip(runs) {
        part.runs = runs;
    }
    job::run(&lab.url, 1, &[])?;
    lab.expect_all_completed().await?;
    let pace: Vec<Pace> = sqlx::query_as(include_str!("soak.sql"))
        .bind(start)
        .bind(part_length.as_secs_f64())
        .fetch_all(&mut lab.db)
        .await?;
    let sections = [
        pace_section(&parts, &pace, part_length, rate),
        growth_section(&parts, part_length),
    ];
    writer::put_back(lab).await?;
    Ok(sections)
}

/// Writes events at the rate, a few in each transaction, until the time is over.
async fn write(
    mut connection: PgConnection,
    known: u32,
    rate: u32,
    began: Instant,
    duration: Duration,
) -> anyhow::Result<()> {
    let mut clock = interval_at(began, Duration::from_secs(1) / WRITES);
    // What was missed is made up for.
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut written, mut ticks) = (0_u64, 0_u64);
    loop {
        let now = clock.tick().await;
        if now.duration_since(began) >= duration {
            break;
        }
        ticks += 1;
        let until = ticks * u64::from(rate) / u64::from(WRITES);
        sqlx::query(
            "INSERT INTO domain_events (event_type, actor_id, project_id, org_id, resource_id, \
                 thread_id, meeting_id, payload, occurred_at) \
             SELECT event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, \
                    payload, clock_timestamp() \
               FROM generate_series($1::bigint, $2::bigint - 1) AS n \
               JOIN bench.events ON id = n % $3 + 1",
        )
        .bind(written.cast_signed())
        .bind(until.cast_signed())
        .bind(i64::from(known))
        .execute(&mut connection)
        .await?;
        written = until;
    }
    connection.close().await?;
    Ok(())
}

/// Notes how long the runs took that have ended, and gives back the others.
async fn collect(working: Vec<Run>, runs: &mut [Vec<f64>]) -> anyhow::Result<Vec<Run>> {
    let mut left = Vec::new();
    for (part, run) in working {
        if run.is_finished() {
            runs[part].push(run.await??);
        } else {
            left.push((part, run));
        }
    }
    Ok(left)
}

fn pace_section(parts: &[Part], pace: &[Pace], length: Duration, rate: u32) -> Section {
    let mut table = table(&[
        "until s",
        "long transaction",
        "events/s",
        "latency ms: p50",
        "p99",
        "max",
        "run ms: median",
        "max",
        "runs",
        "skipped",
    ]);
    let mut results = Vec::new();
    for (at, part) in (0_i32..).zip(parts) {
        let found = pace.iter().find(|pace| pace.part == at);
        let latency = |index: usize| {
            let value = found.and_then(|pace| pace.ms.get(index));
            value.map_or_else(String::new, |value| format!("{value:.0}"))
        };
        let events = found.map_or(0.0, |pace| small(pace.events));
        let run = Sample::of(part.runs.iter().copied());
        table.add_row([
            until(at, length),
            open(part).to_owned(),
            format!("{:.0}", events / length.as_secs_f64()),
            latency(0),
            latency(1),
            latency(2),
            format!("{:.0}", run.median),
            format!("{:.0}", run.max),
            run.runs.to_string(),
            part.skipped.to_string(),
        ]);
        results.push(json!({
            "until_seconds": length.as_secs_f64() * f64::from(at + 1), "held": part.held,
            "pace": found, "run_ms": run, "skipped_runs": part.skipped,
        }));
    }
    Section {
        name: "soak",
        title: format!("A soak at {rate} events/s, with a run each second: pace"),
        table,
        notes: vec![format!(
            "Latency: from the insert of an event until the transaction has committed that settled \
             it. An event waits for the next run, half a second on average. A run that takes longer \
             than a second is overlapped by the next, up to {AT_ONCE} at once. Long transaction: \
             one on another connection, repeatable read, with its snapshot taken."
        )],
        json: json!(results),
    }
}

fn growth_section(parts: &[Part], length: Duration) -> Section {
    let mut table = table(&[
        "until s",
        "long transaction",
        "processing",
        "notifications",
        "mails",
        "due index KiB",
        "autovacuums",
    ]);
    for (at, part) in (0_i32..).zip(parts) {
        let mut row = vec![until(at, length), open(part).to_owned()];
        row.extend(part.growth.iter().map(|growth| {
            let per_1000 = small(growth.bytes / 1024) / (small(growth.live).max(1.0) / 1000.0);
            format!("{} · {} · {per_1000:.0}", growth.live, growth.dead)
        }));
        let vacuums: Vec<String> = part
            .growth
            .iter()
            .map(|growth| growth.vacuums.to_string())
            .collect();
        row.push((part.due_index_bytes / 1024).to_string());
        row.push(vacuums.join(" · "));
        table.add_row(row);
    }
    Section {
        name: "soak_growth",
        title: "The same soak: growth".to_owned(),
        table,
        notes: vec![
            "Of each table: live rows · dead rows · KiB per 1,000 live rows, indexes included. \
             Rows grow with what is written; what has to level off are the dead ones and the size \
             per row. Autovacuums: of the three tables, since the start; its settings are the \
             server's defaults, but for what the job's own migrations set."
                .to_owned(),
        ],
        json: json!(parts),
    }
}

fn until(part: i32, length: Duration) -> String {
    format!("{:.0}", length.as_secs_f64() * f64::from(part + 1))
}

fn open(part: &Part) -> &'static str {
    if part.held { "open" } else { "" }
}
