//! What the client itself costs: its file, its start, its processor time and its allocations.

use std::thread;
use std::time::{Duration, Instant};

use allocation_counter::AllocationInfo;
use anyhow::Context;
use notify_fan_out::config::{RunFlags, Source};
use notify_fan_out::fan_out;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::job;
use super::lab::Lab;
use super::sample::Sample;
use super::section::{Section, small, table};

/// Starting takes milliseconds only: so many more of it in a run.
const TIMES: u32 = 4;

const KIB: f64 = 1024.0;

pub(crate) async fn measure(lab: &mut Lab) -> anyhow::Result<Section> {
    let cpu = cpu_per_1000(lab).await?;
    let start = Start::measure(lab)?;
    lab.restore().await?;
    let load = allocations(&lab.url)?;
    lab.expect_all_completed().await?;
    let idle = allocations(&lab.url)?;

    let events = f64::from(lab.options.events());
    let more = |of: fn(&AllocationInfo) -> u64| {
        small(of(&load).saturating_sub(of(&idle)).cast_signed()) / events
    };
    let allocations = more(|info| info.count_total);
    // In KiB, which are few enough to count exactly.
    let kib = more(|info| info.bytes_total >> 10);
    let most = |info: AllocationInfo| small(info.bytes_max.cast_signed()) / KIB;

    let mut table = table(&["", "value"]);
    let mut json = serde_json::Map::new();
    let mut add = |name: &str, key: &str, shown: String, value: Value| {
        table.add_row([name, &shown]);
        json.insert(key.to_owned(), value);
    };
    let size = job::binary_bytes()?;
    add(
        "binary, MiB",
        "binary_bytes",
        format!("{:.1}", small(size.cast_signed()) / KIB / KIB),
        json!(size),
    );
    for (name, key, sample) in [
        (
            "start to exit of --version, ms",
            "version_ms",
            start.version,
        ),
        ("start to connection, ms", "connection_ms", start.connection),
        (
            "start to first statement, ms",
            "first_statement_ms",
            start.statement,
        ),
        ("CPU per 1,000 events, ms", "cpu_ms_per_1000_events", cpu),
    ] {
        add(name, key, sample.show(2, "").to_string(), json!(sample));
    }
    for (name, key, value) in [
        (
            "allocations per event",
            "allocations_per_event",
            allocations,
        ),
        ("KiB allocated per event", "kib_allocated_per_event", kib),
        ("most KiB in use at once, the load", "peak_kib", most(load)),
        (
            "most KiB in use at once, nothing due",
            "peak_kib_idle",
            most(idle),
        ),
    ] {
        add(name, key, format!("{value:.1}"), json!(value));
    }
    for (name, key, value) in [
        (
            "allocations of a run with nothing due",
            "allocations_idle",
            idle.count_total,
        ),
        (
            "allocations of the load",
            "allocations_load",
            load.count_total,
        ),
    ] {
        add(name, key, value.to_string(), json!(value));
    }
    Ok(Section {
        name: "client",
        title: format!(
            "The client: median (min–max) of {} starts and {} loads of {events} events",
            start.version.runs, cpu.runs
        ),
        table,
        notes: vec![
            "The first statement is what first follows the authentication; connection and \
             statement are seen by a proxy before the server. CPU is user and system time of the \
             whole process. Allocations are those of the same code inside this program, without \
             the log; per event they are what the load makes more of than a run with nothing due."
                .to_owned(),
        ],
        json: Value::Object(json),
    })
}

/// How long the process takes to get going, in milliseconds.
#[derive(Debug)]
struct Start {
    version: Sample,
    connection: Sample,
    statement: Sample,
}

impl Start {
    /// Nothing is due any more.
    fn measure(lab: &Lab) -> anyhow::Result<Self> {
        let (proxy, url) = lab.proxy()?;
        let (mut version, mut connection, mut statement) = (Vec::new(), Vec::new(), Vec::new());
        for run in 0..=lab.options.runs() * TIMES {
            let (time, _) = job::run(&url, 1, &["--version"])?;
            proxy.take_firsts();
            let started = Instant::now();
            job::run(&url, 1, &[])?;
            let firsts = proxy.take_firsts();
            let since = |instant: Option<Instant>| {
                let instant = instant.context("the job has said nothing to the server")?;
                anyhow::Ok(milliseconds(instant.duration_since(started)))
            };
            // The first is for the caches.
            if run > 0 {
                version.push(milliseconds(time));
                connection.push(since(firsts.connection)?);
                statement.push(since(firsts.statement)?);
            }
        }
        Ok(Self {
            version: Sample::of(version),
            connection: Sample::of(connection),
            statement: Sample::of(statement),
        })
    }
}

async fn cpu_per_1000(lab: &mut Lab) -> anyhow::Result<Sample> {
    let thousands = f64::from(lab.options.events()) / 1000.0;
    let mut times = Vec::new();
    for _ in 0..lab.options.runs() {
        lab.restore().await?;
        let (_, used) = job::run(&lab.url, 1, &[])?;
        lab.expect_all_completed().await?;
        times.extend(used.iter().map(|used| milliseconds(used.cpu) / thousands));
    }
    Ok(Sample::of(times))
}

/// What the job's own code allocates for a run inside this process, on a thread and runtime of its
/// own: the counter is the thread's.
fn allocations(url: &str) -> anyhow::Result<AllocationInfo> {
    let get = |name: &str| (name == "DATABASE_URL").then(|| url.to_owned());
    let source = Source(&get);
    let database = source.database()?;
    let mut settings = source.settings(&RunFlags::default(), "bench".to_owned())?;
    settings.max_runtime = Duration::from_hours(1);
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut result = Ok(());
        let info = allocation_counter::measure(|| {
            let stop = CancellationToken::new();
            let (_, ended) =
                runtime.block_on(fan_out::run(&database, &settings, &stop, &mut |_| {}));
            result = ended;
        });
        result?;
        anyhow::Ok(info)
    };
    thread::spawn(run)
        .join()
        .map_err(|_| anyhow::anyhow!("the run inside this process panicked"))?
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
