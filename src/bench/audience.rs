//! One event that concerns very many people: its time and the client's memory, and what becomes
//! of the events that are due after it.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::job;
use super::lab::{Lab, batch_size};
use super::limit;
use super::options::Options;
use super::sample::Sample;
use super::section::{Section, table};

/// How often somebody looks whether the events are done.
const LOOK: Duration = Duration::from_millis(5);

const MIB: u64 = 1024 * 1024;

/// A world of its own, in which one project is open to all.
pub(crate) async fn build(options: &Options) -> anyhow::Result<Lab> {
    let people = options.audience();
    eprintln!("building an audience of {people} …");
    let options = options.of_size(people, batch_size()?);
    let mut lab = Lab::build(options, "bench_audience".to_owned()).await?;
    lab.sql(include_str!("audience.sql")).await?;
    lab.sql("VACUUM (ANALYZE)").await?;
    Ok(lab)
}

/// The event alone.
pub(crate) async fn alone(lab: &mut Lab) -> anyhow::Result<Section> {
    lab.restore().await?;
    job::run(&lab.url, 1, &[])?;
    lab.expect_all_completed().await?;
    let rows = limit::keep(lab).await?;
    let (mut limits, mut times, mut peak) = (Vec::new(), Vec::new(), 0);
    let mut busy = Vec::new();
    for _ in 0..lab.options.audience_runs() {
        limits.push(limit::seconds(lab).await?);
        lab.restore().await?;
        let (time, used) = job::run(&lab.url, 1, &[])?;
        lab.expect_all_completed().await?;
        times.push(time.as_secs_f64());
        for used in used {
            busy.push(used.cpu.as_secs_f64());
            peak = peak.max(used.peak_bytes);
        }
    }
    let ratio = Sample::of(times.iter().zip(&limits).map(|(time, limit)| time / limit));
    let (limit, time, cpu) = (Sample::of(limits), Sample::of(times), Sample::of(busy));
    let mut table = table(&["", "seconds", "× limit", "client's CPU s", "peak MiB"]);
    table.add_row([
        "limit: bare inserts, one connection",
        &limit.show(2, "").to_string(),
        "1",
        "",
        "",
    ]);
    table.add_row([
        "1 × the job".to_owned(),
        time.show(2, "").to_string(),
        ratio.show(2, "").to_string(),
        cpu.show(2, "").to_string(),
        peak.div_ceil(MIB).to_string(),
    ]);
    let people = lab.options.audience();
    Ok(Section {
        name: "audience",
        title: format!(
            "One event to an audience of {people}: median (min–max) of {} runs",
            time.runs
        ),
        table,
        notes: vec![format!(
            "Rows written: {} notifications, {} mails. The time is that of the whole process, the \
             memory the most that it ever had resident.",
            rows.notifications, rows.pending_emails,
        )],
        json: json!({
            "people": people, "rows": rows, "limit_seconds": limit, "seconds": time,
            "ratio": ratio, "client_cpu_seconds": cpu, "peak_bytes": peak,
        }),
    })
}

/// When, after the start of a run, the last of the small events was done, and when the large one.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    small: Option<Duration>,
    large: Option<Duration>,
}

/// The same event with a batch of others due after it.
pub(crate) async fn others(lab: &mut Lab) -> anyhow::Result<Section> {
    let small = batch_size()?;
    lab.sql(&format!("SET bench.due = {small}")).await?;
    lab.sql(include_str!("due.sql")).await?;
    lab.sql("VACUUM (ANALYZE) domain_events").await?;
    let (mut without, mut beside, mut large) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..=lab.options.audience_runs() {
        let alone = watch(lab, false).await?;
        let both = watch(lab, true).await?;
        // The first run is for the caches.
        if run > 0 {
            without.extend(alone.small.map(|time| time.as_secs_f64()));
            beside.extend(both.small.map(|time| time.as_secs_f64()));
            large.extend(both.large.map(|time| time.as_secs_f64()));
        }
    }
    let wait = Sample::of(
        beside
            .iter()
            .zip(&without)
            .map(|(with, without)| with - without),
    );
    let ratio = Sample::of(
        beside
            .iter()
            .zip(&without)
            .map(|(with, without)| with / without),
    );
    let (without, beside, large) = (Sample::of(without), Sample::of(beside), Sample::of(large));
    let mut table = table(&[
        "done after the start of the process",
        "seconds",
        "× without",
        "s more",
    ]);
    table.add_row([
        format!("the {small} small events, without the large one"),
        without.show(3, "").to_string(),
        "1".to_owned(),
        String::new(),
    ]);
    table.add_row([
        format!("the {small} small events, due after the large one"),
        beside.show(3, "").to_string(),
        ratio.show(2, "").to_string(),
        wait.show(3, "").to_string(),
    ]);
    table.add_row([
        "the large one itself".to_owned(),
        large.show(3, "").to_string(),
        String::new(),
        String::new(),
    ]);
    Ok(Section {
        name: "audience_others",
        title: format!(
            "Other events beside one to an audience of {}: median (min–max) of {} runs",
            lab.options.audience(),
            beside.runs
        ),
        table,
        notes: vec![format!(
            "One worker. Each time is that at which another connection, which looks every {} ms, \
             sees the last of them completed.",
            LOOK.as_millis()
        )],
        json: json!({
            "small_events": small, "seconds_without": without, "seconds_beside": beside,
            "ratio": ratio, "seconds_more": wait, "large_seconds": large,
        }),
    })
}

/// Looks on while the job runs. The large event is the first.
async fn watch(lab: &mut Lab, with_large: bool) -> anyhow::Result<Done> {
    lab.restore().await?;
    if !with_large {
        lab.sql(
            "UPDATE notification_processing SET processing_status = 'completed' WHERE event_id = 1",
        )
        .await?;
        lab.sql("CHECKPOINT").await?;
    }
    let url = lab.url.clone();
    let started = Instant::now();
    let job = thread::spawn(move || job::run(&url, 1, &[]));
    let mut done = Done::default();
    loop {
        // Asked before the look, so that the last look comes after the end.
        let ended = job.is_finished();
        let (small, large): (bool, bool) = sqlx::query_as(
            "SELECT bool_and(processing_status = 'completed') FILTER (WHERE event_id > 1),
                    bool_and(processing_status = 'completed') FILTER (WHERE event_id = 1)
               FROM notification_processing",
        )
        .fetch_one(&mut lab.db)
        .await?;
        let now = started.elapsed();
        if small && done.small.is_none() {
            done.small = Some(now);
        }
        if large && done.large.is_none() {
            done.large = Some(now);
        }
        if ended {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    job.join()
        .map_err(|_| anyhow::anyhow!("the thread that waits for the job panicked"))??;
    lab.expect_all_completed().await?;
    Ok(done)
}
