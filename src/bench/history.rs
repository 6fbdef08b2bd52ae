//! What a claim and an idle run cost with a history behind them, against the same without one.

use std::time::Instant;

use notify_fan_out::handlers::EventType;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use super::job;
use super::lab::{Lab, batch_size};
use super::options::Options;
use super::sample::Sample;
use super::section::{Section, table};

/// Each takes milliseconds only: so many more of them in a run.
const TIMES: u32 = 4;

/// A database for each size of history, so that all are measured in turn. The first has none.
#[derive(Debug)]
pub(crate) struct Histories {
    labs: Vec<(u32, Lab)>,
    /// Events that are due in each: one claim takes them all.
    due: u32,
    runs: u32,
}

impl Histories {
    pub(crate) async fn build(options: &Options) -> anyhow::Result<Self> {
        let due = batch_size()?.min(options.events());
        let mut labs = Vec::new();
        for completed in options.history() {
            eprintln!("building a history of {completed} events …");
            let mut lab = Lab::build(options.clone(), format!("bench_{completed}")).await?;
            lab.sql(&format!(
                "SET bench.history = {completed}; SET bench.due = {due}"
            ))
            .await?;
            lab.sql(include_str!("history.sql")).await?;
            labs.push((completed, lab));
        }
        for (_, lab) in &mut labs {
            lab.sql("VACUUM (ANALYZE)").await?;
            lab.sql("CHECKPOINT").await?;
        }
        Ok(Self {
            labs,
            due,
            runs: options.runs() * TIMES,
        })
    }

    /// The statement of the claim, as the job sends it.
    pub(crate) async fn claims(&mut self) -> anyhow::Result<Section> {
        let mut times = vec![Vec::new(); self.labs.len()];
        for run in 0..=self.runs {
            for ((_, lab), times) in self.labs.iter_mut().zip(&mut times) {
                let time = claim(lab, self.due).await?;
                // The first is for the caches.
                if run > 0 {
                    times.push(time * 1e3);
                }
            }
        }
        let mut table = table(&["completed events", "ms", "× with none"]);
        let mut results = Vec::new();
        let none = Sample::of(times[0].iter().copied()).median;
        for ((completed, _), times) in self.labs.iter().zip(times) {
            let time = Sample::of(times);
            let ratio = time.median / none;
            table.add_row([
                completed.to_string(),
                time.show(2, "").to_string(),
                format!("{ratio:.2}"),
            ]);
            results.push(json!({ "completed": completed, "ms": time, "ratio": ratio }));
        }
        Ok(Section {
            name: "claim",
            title: format!(
                "A claim of {} events, all that are due: median (min–max) of {}",
                self.due, self.runs
            ),
            table,
            notes: vec![
                "The claiming statement alone, planning included and the commit not. The ratio is \
                 that of the medians; all were measured in turn."
                    .to_owned(),
            ],
            json: json!(results),
        })
    }

    /// A run of the real binary with nothing due.
    pub(crate) async fn idle(&mut self) -> anyhow::Result<Section> {
        let mut table = table(&[
            "completed events",
            "process ms",
            "connecting ms",
            "beyond ms",
            "round trips",
        ]);
        let mut results = Vec::new();
        for (completed, lab) in &mut self.labs {
            lab.sql(
                "DELETE FROM notification_processing WHERE processing_status <> 'completed';
                 DELETE FROM domain_events e WHERE NOT EXISTS
                     (SELECT FROM notification_processing np WHERE np.event_id = e.id)",
            )
            .await?;
            lab.sql("VACUUM (ANALYZE) notification_processing, domain_events")
                .await?;
            lab.sql("CHECKPOINT").await?;
            let mut processes = Vec::new();
            let mut connects = Vec::new();
            for run in 0..=self.runs {
                let started = Instant::now();
                lab.connect().await?.close().await?;
                let connect = started.elapsed().as_secs_f64() * 1e3;
                let (process, _) = job::run(&lab.url, 1, &[])?;
                if run > 0 {
                    connects.push(connect);
                    processes.push(process.as_secs_f64() * 1e3);
                }
            }
            let beyond = Sample::of(
                processes
                    .iter()
                    .zip(&connects)
                    .map(|(all, part)| all - part),
            );
            let process = Sample::of(processes);
            let connect = Sample::of(connects);
            let (proxy, url) = lab.proxy()?;
            job::run(&url, 1, &[])?;
            let traffic = proxy.take();
            table.add_row([
                completed.to_string(),
                process.show(1, "").to_string(),
                connect.show(1, "").to_string(),
                beyond.show(1, "").to_string(),
                traffic.round_trips.to_string(),
            ]);
            results.push(json!({
                "completed": completed, "process_ms": process, "connecting_ms": connect,
                "beyond_ms": beyond, "traffic": traffic,
            }));
        }
        Ok(Section {
            name: "idle",
            title: format!("A run with nothing due, median (min–max) of {}", self.runs),
            table,
            notes: vec![
                "The whole process, from its start to its exit. Connecting is opening and closing \
                 a connection from a process that is already up; what is beyond it includes the \
                 start of the process."
                    .to_owned(),
            ],
            json: json!(results),
        })
    }
}

async fn claim(lab: &mut Lab, due: u32) -> anyhow::Result<f64> {
    let mut connection = lab.connect().await?;
    let mut transaction = connection.begin().await?;
    let started = Instant::now();
    let claimed = statement(&mut transaction, due).await?;
    let time = started.elapsed().as_secs_f64();
    transaction.commit().await?;
    connection.close().await?;
    anyhow::ensure!(
        claimed == due as usize,
        "{claimed} events were claimed, not {due}"
    );
    // Due again, as they were.
    lab.sql(
        "UPDATE notification_processing
            SET processing_status = 'pending', claimed_at = NULL, processor_id = NULL
          WHERE processing_status = 'processing'",
    )
    .await?;
    lab.sql("VACUUM (ANALYZE) notification_processing").await?;
    Ok(time)
}

async fn statement(connection: &mut PgConnection, at_most: u32) -> anyhow::Result<usize> {
    const AGE_LIMIT_SECONDS: f64 = 24.0 * 3600.0;
    let types: Vec<&str> = EventType::ALL.iter().map(|known| known.name()).collect();
    let rows = sqlx::query(include_str!("../fan_out/claim.sql"))
        .bind(i64::from(at_most))
        .bind("bench")
        .bind(AGE_LIMIT_SECONDS)
        .bind(types)
        .persistent(false)
        .fetch_all(connection)
        .await?;
    Ok(rows.len())
}
