//! What a claim and an idle run cost with a history behind them, against the same without one.

use std::fmt;
use std::time::Instant;

use serde_json::json;
use sqlx::Connection;

use super::job::{self, BATCH};
use super::lab::Lab;
use super::options::Options;
use super::sample::Sample;
use super::section::{Section, table};
use super::statements;

/// Each takes milliseconds only: so many more of them in a run, and this many at least.
const TIMES: u32 = 4;
const AT_LEAST: u32 = 20;

/// Events of a history that are made at once.
const CHUNK: u32 = 1_000_000;

/// What lies behind the events that are due, or beside them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
struct Past {
    completed: u32,
    failed: u32,
    /// Pending, and not due for hours.
    later: u32,
}

impl fmt::Display for Past {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} completed", self.completed)?;
        if self.failed > 0 {
            write!(f, ", {} failed", self.failed)?;
        }
        if self.later > 0 {
            write!(f, ", {} not yet due", self.later)?;
        }
        Ok(())
    }
}

/// A database for each past, so that all are measured in turn. The first has none.
#[derive(Debug)]
pub(crate) struct Histories {
    labs: Vec<(Past, Lab)>,
    /// Events that are due in each: one claim takes them all.
    due: u32,
    turns: u32,
}

impl Histories {
    pub(crate) async fn build(options: &Options) -> anyhow::Result<Self> {
        let due = BATCH.min(options.events());
        let mut labs = Vec::new();
        let sizes = options.history();
        for &completed in &sizes {
            eprintln!("building a history of {completed} events …");
            let mut lab = Lab::build(options.clone(), format!("bench_{completed}")).await?;
            fill(&mut lab, completed).await?;
            let past = Past {
                completed,
                ..Past::default()
            };
            if sizes.last() != Some(&completed) {
                labs.push((past, lab));
                continue;
            }
            let beside = options.beside();
            eprintln!("building the same with {beside} failed, and with {beside} not yet due …");
            let (lab, failed) = lab.copy(format!("bench_{completed}_failed")).await?;
            let (lab, later) = lab.copy(format!("bench_{completed}_later")).await?;
            labs.push((past, lab));
            let failed = (
                Past {
                    failed: beside,
                    ..past
                },
                failed,
            );
            let later = (
                Past {
                    later: beside,
                    ..past
                },
                later,
            );
            for (past, mut lab) in [failed, later] {
                let Past { failed, later, .. } = past;
                lab.sql(&format!(
                    "SET bench.failed = {failed}; SET bench.later = {later}"
                ))
                .await?;
                lab.sql(include_str!("beside.sql")).await?;
                labs.push((past, lab));
            }
        }
        for (_, lab) in &mut labs {
            lab.sql(&format!("SET bench.due = {due}")).await?;
            lab.sql("VACUUM (ANALYZE)").await?;
            lab.sql("CHECKPOINT").await?;
        }
        Ok(Self {
            labs,
            due,
            turns: (options.runs() * TIMES).max(AT_LEAST),
        })
    }

    /// What the claiming statement takes in a run.
    pub(crate) async fn claims(&mut self) -> anyhow::Result<Section> {
        let mut times = vec![Vec::new(); self.labs.len()];
        for turn in 0..=self.turns {
            for at in there_and_back(self.labs.len(), turn) {
                let lab = &mut self.labs[at].1;
                lab.sql(include_str!("due.sql")).await?;
                // One claim takes all; one more finds nothing, and is faster.
                let time = statements::slowest_ms(lab, "claim.sql").await?;
                // The first is for the caches.
                if turn > 0 {
                    times[at].push(time);
                }
                // Of what was settled nothing is left, not even in the indexes.
                lab.sql("VACUUM (INDEX_CLEANUP ON) notification_processing")
                    .await?;
            }
        }
        let mut table = table(&["behind it", "ms", "× with none"]);
        let mut results = Vec::new();
        let none = Sample::of(times[0].iter().copied()).median;
        for ((past, _), times) in self.labs.iter().zip(times) {
            let time = Sample::of(times);
            let ratio = time.median / none;
            table.add_row([past.to_string(), time.show(2), format!("{ratio:.2}")]);
            results.push(json!({ "past": past, "ms": time, "ratio": ratio }));
        }
        Ok(Section {
            name: "claim",
            title: format!(
                "A claim of {} events, all that are due: median (min–max) of {}",
                self.due, self.turns
            ),
            table,
            note:
                "The claiming statement within a run, as the server counts it: planning included, \
                 the commit not. The ratio is that of the medians; all were measured in turn."
                    .to_owned(),
            json: json!(results),
        })
    }

    /// A run of the real binary with nothing due.
    pub(crate) async fn idle(&mut self) -> anyhow::Result<Section> {
        let mut processes = vec![Vec::new(); self.labs.len()];
        let mut connects = vec![Vec::new(); self.labs.len()];
        for turn in 0..=self.turns {
            for at in there_and_back(self.labs.len(), turn) {
                let lab = &self.labs[at].1;
                let started = Instant::now();
                lab.connect().await?.close().await?;
                let connect = started.elapsed().as_secs_f64() * 1e3;
                let process = job::run_once(&lab.url)?;
                if turn > 0 {
                    connects[at].push(connect);
                    processes[at].push(process.as_secs_f64() * 1e3);
                }
            }
        }
        let mut table = table(&[
            "behind it",
            "process ms",
            "connecting ms",
            "beyond ms",
            "round trips",
        ]);
        let mut results = Vec::new();
        for (at, (past, lab)) in self.labs.iter().enumerate() {
            let both = processes[at].iter().zip(&connects[at]);
            let beyond = Sample::of(both.map(|(all, part)| all - part));
            let process = Sample::of(processes[at].iter().copied());
            let connect = Sample::of(connects[at].iter().copied());
            let (proxy, url) = lab.proxy()?;
            job::run_once(&url)?;
            let traffic = proxy.take();
            table.add_row([
                past.to_string(),
                process.show(1),
                connect.show(1),
                beyond.show(1),
                traffic.round_trips.to_string(),
            ]);
            results.push(json!({
                "past": past, "process_ms": process, "connecting_ms": connect,
                "beyond_ms": beyond, "traffic": traffic,
            }));
        }
        Ok(Section {
            name: "idle",
            title: format!("A run with nothing due, median (min–max) of {}", self.turns),
            table,
            note: "The whole process, from its start to its exit; all were measured in turn. \
                 Connecting is opening and closing a connection from a process that is already \
                 up; what is beyond it includes the start of the process."
                .to_owned(),
            json: json!(results),
        })
    }
}

/// So many completed events, and nothing else.
async fn fill(lab: &mut Lab, completed: u32) -> anyhow::Result<()> {
    lab.sql(&format!(
        "TRUNCATE domain_events RESTART IDENTITY CASCADE;
         SET bench.history = {completed}; SET synchronous_commit = off; SET maintenance_work_mem = '512MB'"
    ))
    .await?;
    let started = Instant::now();
    let mut made = 0;
    while made < completed {
        let until = made.saturating_add(CHUNK).min(completed);
        lab.sql(&format!(
            "SET bench.after = {made}; SET bench.until = {until}"
        ))
        .await?;
        lab.sql(include_str!("history.sql")).await?;
        made = until;
        if completed > CHUNK {
            let seconds = started.elapsed().as_secs_f64();
            let left = seconds * (f64::from(completed) / f64::from(made) - 1.0);
            eprintln!("  {made} events, {seconds:.0} s; {left:.0} s to go");
        }
    }
    lab.sql("VACUUM (ANALYZE)").await?;
    lab.sql("RESET synchronous_commit; RESET maintenance_work_mem")
        .await
}

/// Every other turn goes backwards, so that nobody always follows the same one.
fn there_and_back(length: usize, turn: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..length).collect();
    if !turn.is_multiple_of(2) {
        order.reverse();
    }
    order
}
