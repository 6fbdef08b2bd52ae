//! The job as it is shipped: the real binary, as a process of its own.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use wait4::Wait4;

use super::sample::Sample;

const BINARY: &str = env!("CARGO_BIN_EXE_notify-fan-out");
/// The exit code where some events failed.
const SOME_FAILED: i32 = 3;
const LOG: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/bench-job.log");

/// What one process used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    /// Processor time, in the process and for it in the kernel.
    pub(crate) cpu: Duration,
    /// The most memory it ever had.
    pub(crate) peak_bytes: u64,
}

/// Events that a job claims at once: the product's default, said aloud so that the figures stay true
/// where it changes.
pub(crate) const BATCH: u32 = 500;

/// A job at work.
#[derive(Debug)]
pub(crate) struct Job {
    child: Child,
    memory: JoinHandle<u64>,
}

impl Job {
    /// Starts it with the product's defaults, but for these variables.
    fn start(url: &str, arguments: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let child = spawn(url, arguments, variables)?;
        let id = child.id();
        Ok(Self {
            child,
            memory: thread::spawn(move || peak_bytes(id)),
        })
    }

    /// Waits for its end, which has to be a good one.
    pub(crate) fn wait(mut self) -> anyhow::Result<Used> {
        let ended = self.child.wait4()?;
        ensure!(
            matches!(ended.status.code(), Some(0 | SOME_FAILED)),
            "the job failed ({}); its log is {LOG}",
            ended.status
        );
        Ok(Used {
            cpu: ended.rusage.utime + ended.rusage.stime,
            peak_bytes: self.memory.join().unwrap_or(0),
        })
    }
}

/// Starts the program with the product's defaults, but for these variables.
fn spawn(url: &str, arguments: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Child> {
    let log = File::create(LOG).context(LOG)?;
    Command::new(BINARY)
        .args(arguments)
        .env_clear()
        .env("DATABASE_URL", url)
        .env("NOTIFY_FANOUT_BATCH_SIZE", BATCH.to_string())
        // Not part of what is measured: a slow machine should not end a run early.
        .env("NOTIFY_FANOUT_MAX_RUNTIME", "1h")
        .envs(variables.iter().copied())
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context(BINARY)
}

/// A daemon at work. Killed with the value.
#[derive(Debug)]
pub(crate) struct Daemon(Child);

impl Daemon {
    pub(crate) fn start(
        url: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let arguments = [&["serve"], arguments].concat();
        Ok(Self(spawn(url, &arguments, variables)?))
    }

    /// Tells it to stop, which has to end well.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").arg(self.0.id().to_string()).status()?;
        let status = self.0.wait()?;
        ensure!(
            status.success(),
            "the daemon failed ({status}); its log is {LOG}"
        );
        Ok(())
    }

    /// Processor time so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("a process")?;
        let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u64>);
        let (user, system) = (
            ticks.next().context("a time")??,
            ticks.next().context("a time")??,
        );
        // A tick of the kernel's interface is a hundredth of a second.
        Ok(Duration::from_millis(10 * (user + system)))
    }

    /// Memory in use.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        status_bytes(self.0.id(), "VmRSS:").context("a process")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The most memory that a process ever had, when it has ended. (What the kernel tells a parent
/// afterwards counts the parent's own, from before the program was started.)
fn peak_bytes(id: u32) -> u64 {
    let mut most = 0;
    while let Some(peak) = status_bytes(id, "VmHWM:") {
        most = peak.max(most);
        thread::sleep(Duration::from_millis(2));
    }
    most
}

fn status_bytes(id: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// Runs so many jobs at once. The time is that from the start of the first to the exit of the
/// last.
pub(crate) fn run(
    url: &str,
    workers: u32,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> anyhow::Result<(Duration, Vec<Used>)> {
    let started = Instant::now();
    let jobs: Vec<Job> = (0..workers)
        .map(|_| Job::start(url, arguments, variables))
        .collect::<anyhow::Result<_>>()?;
    let used = jobs
        .into_iter()
        .map(Job::wait)
        .collect::<anyhow::Result<_>>()?;
    Ok((started.elapsed(), used))
}

/// One run with the product's defaults.
pub(crate) fn run_once(url: &str) -> anyhow::Result<Duration> {
    Ok(run(url, 1, &[], &[])?.0)
}

/// What repeated runs of several jobs at once took.
#[derive(Debug)]
pub(crate) struct Runs {
    pub(crate) workers: u32,
    times: Vec<f64>,
    busy: Vec<f64>,
    peak_bytes: u64,
}

impl Runs {
    pub(crate) fn new(workers: u32) -> Self {
        Self {
            workers,
            times: Vec::new(),
            busy: Vec::new(),
            peak_bytes: 0,
        }
    }

    pub(crate) fn add(&mut self, time: Duration, used: &[Used]) {
        self.times.push(time.as_secs_f64());
        let busy = used.iter().map(|used| used.cpu.as_secs_f64());
        self.busy.push(busy.sum());
        let peaks = used.iter().map(|used| used.peak_bytes);
        self.peak_bytes = peaks.fold(self.peak_bytes, u64::max);
    }

    /// Each run's time against the limit that was measured beside it.
    fn ratio(&self, limits: &[f64]) -> Sample {
        let pairs = self.times.iter().zip(limits);
        Sample::of(pairs.map(|(time, limit)| time / limit))
    }

    /// Seconds, times the limit, how many per second, processor seconds, MiB.
    pub(crate) fn cells(&self, limits: &[f64], done: f64) -> [String; 5] {
        let time = Sample::of(self.times.iter().copied());
        [
            time.show(2),
            self.ratio(limits).show(2),
            format!("{:.0}", done / time.median),
            Sample::of(self.busy.iter().copied()).show(2),
            self.peak_bytes.div_ceil(1024 * 1024).to_string(),
        ]
    }

    /// The same for machines, with the name of what was done per second.
    pub(crate) fn json(&self, limits: &[f64], rate: &str, done: f64) -> Value {
        let time = Sample::of(self.times.iter().copied());
        json!({
            "workers": self.workers, "seconds": time, "ratio": self.ratio(limits),
            "client_cpu_seconds": Sample::of(self.busy.iter().copied()),
            "peak_bytes": self.peak_bytes, rate: done / time.median,
        })
    }
}
