//! Delivery to receivers that are as fast as they can be, against what a bare client needs for the
//! same messages without a database.

mod bare;
mod receiver;

use std::fmt;
use std::time::Duration;

use serde_json::json;

use super::job::{self, Used};
use super::lab::Lab;
use super::sample::Sample;
use super::section::{Section, small, table};
use receiver::Receiver;

const ENDPOINTS: usize = 10;
const MIB: u64 = 1024 * 1024;
/// Deliveries in flight at once, and to one target: the product's defaults, said aloud. All e-mails are
/// one target's.
const CONCURRENCY: u32 = 20;
const PER_TARGET: u32 = 4;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Webhooks,
    Emails,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Webhooks => "webhooks",
            Self::Emails => "emails",
        })
    }
}

pub(crate) async fn measure(lab: &mut Lab) -> anyhow::Result<Section> {
    let receiver = Receiver::start()?;
    let messages = lab.options.messages();
    lab.sql(&format!("SET bench.messages = {messages}")).await?;
    lab.sql(&format!("SET bench.base = 'http://{}/'", receiver.http))
        .await?;
    let mut table = table(&[
        "",
        "seconds",
        "messages/s",
        "× limit",
        "client's CPU s",
        "peak MiB",
        "round trips per message",
        "commits per 1,000",
    ]);
    let mut json = serde_json::Map::new();
    for what in [What::Webhooks, What::Emails] {
        lab.sql(&format!("SET bench.what = '{what}'")).await?;
        let measured = Measured::of(lab, &receiver, what).await?;
        measured.show(what, messages, &mut table);
        json.insert(what.to_string(), measured.json(messages));
    }
    let runs = lab.options.runs();
    Ok(Section {
        name: "deliver",
        title: format!("Delivery of {messages} messages, median (min–max) of {runs} runs"),
        table,
        notes: vec![format!(
            "Webhooks go to {ENDPOINTS} endpoints, signed; e-mails to people, by SMTP without \
             encryption. All of it is on one machine, receivers included. The limit is a bare \
             client with as many messages in flight, and no database; a job's time is that of \
             whole processes."
        )],
        json: json.into(),
    })
}

/// What came of one kind of message.
#[derive(Debug)]
struct Measured {
    at_once: u32,
    limits: Vec<f64>,
    jobs: Vec<Jobs>,
    round_trips: f64,
    commits: f64,
}

/// So many processes at once.
#[derive(Debug)]
struct Jobs {
    workers: u32,
    times: Vec<f64>,
    busy: Vec<f64>,
    peak_bytes: u64,
}

impl Measured {
    async fn of(lab: &mut Lab, receiver: &Receiver, what: What) -> anyhow::Result<Self> {
        let at_once = match what {
            What::Webhooks => CONCURRENCY,
            What::Emails => PER_TARGET,
        };
        let messages = lab.options.messages();
        let mut measured = Self {
            at_once,
            limits: Vec::new(),
            jobs: lab
                .options
                .workers
                .iter()
                .map(|&workers| Jobs {
                    workers,
                    times: Vec::new(),
                    busy: Vec::new(),
                    peak_bytes: 0,
                })
                .collect(),
            round_trips: 0.0,
            commits: 0.0,
        };
        for _ in 0..lab.options.runs() {
            let limit = bare::seconds(receiver, what, messages, at_once).await?;
            measured.limits.push(limit);
            anyhow::ensure!(receiver.take() == u64::from(messages), "{what} got lost");
            for jobs in &mut measured.jobs {
                let url = lab.url.clone();
                let (time, used) = deliver(lab, receiver, &url, jobs.workers).await?;
                jobs.times.push(time.as_secs_f64());
                let busy = used.iter().map(|used| used.cpu.as_secs_f64());
                jobs.busy.push(busy.sum());
                let peaks = used.iter().map(|used| used.peak_bytes);
                jobs.peak_bytes = peaks.chain([jobs.peak_bytes]).max().unwrap_or(0);
            }
        }
        let (proxy, url) = lab.proxy()?;
        deliver(lab, receiver, &url, 1).await?;
        let traffic = proxy.take();
        let each = f64::from(messages);
        measured.round_trips = small(traffic.round_trips.cast_signed()) / each;
        measured.commits = small(traffic.commits.cast_signed()) / each * 1_000.0;
        Ok(measured)
    }

    fn show(&self, what: What, messages: u32, table: &mut comfy_table::Table) {
        let rate = |time: f64| format!("{:.0}", f64::from(messages) / time);
        let limit = Sample::of(self.limits.iter().copied());
        table.add_row([
            format!("{what}, limit: bare client, {} at once", self.at_once),
            limit.show(2, "").to_string(),
            rate(limit.median),
            "1".to_owned(),
        ]);
        for jobs in &self.jobs {
            let time = Sample::of(jobs.times.iter().copied());
            let counts = [self.round_trips, self.commits].map(|count| format!("{count:.2}"));
            let [round_trips, commits] = if jobs.workers == 1 {
                counts
            } else {
                [String::new(), String::new()]
            };
            table.add_row([
                format!("{what}, {} × the job", jobs.workers),
                time.show(2, "").to_string(),
                rate(time.median),
                self.ratio(jobs).show(2, "").to_string(),
                Sample::of(jobs.busy.iter().copied())
                    .show(2, "")
                    .to_string(),
                jobs.peak_bytes.div_ceil(MIB).to_string(),
                round_trips,
                commits,
            ]);
        }
    }

    fn ratio(&self, jobs: &Jobs) -> Sample {
        let pairs = jobs.times.iter().zip(&self.limits);
        Sample::of(pairs.map(|(time, limit)| time / limit))
    }

    fn json(&self, messages: u32) -> serde_json::Value {
        let jobs = self.jobs.iter().map(|jobs| {
            let time = Sample::of(jobs.times.iter().copied());
            json!({
                "workers": jobs.workers, "seconds": time, "ratio": self.ratio(jobs),
                "client_cpu_seconds": Sample::of(jobs.busy.iter().copied()),
                "peak_bytes": jobs.peak_bytes,
                "messages_per_second": f64::from(messages) / time.median,
            })
        });
        json!({
            "messages": messages,
            "at_once": self.at_once,
            "limit_seconds": Sample::of(self.limits.iter().copied()),
            "jobs": jobs.collect::<Vec<_>>(),
            "round_trips_per_message": self.round_trips,
            "commits_per_1000": self.commits,
        })
    }
}

/// Makes everything due again and has it sent.
async fn deliver(
    lab: &mut Lab,
    receiver: &Receiver,
    url: &str,
    workers: u32,
) -> anyhow::Result<(Duration, Vec<Used>)> {
    for statement in include_str!("deliver.sql").split_inclusive(";\n") {
        lab.sql(statement).await?;
    }
    let smtp = format!("smtp://{}?tls=none&hello=bench.example", receiver.smtp);
    let [concurrency, per_target] = [CONCURRENCY, PER_TARGET].map(|count| count.to_string());
    let variables = [
        ("NOTIFY_DELIVERY_CONCURRENCY", concurrency.as_str()),
        ("NOTIFY_DELIVERY_PER_TARGET", &per_target),
        ("NOTIFY_OUTGOING_ALLOW", "127.0.0.1"),
        ("NOTIFY_OUTGOING_PLAIN_HTTP", "true"),
        ("NOTIFY_SMTP_URL", &smtp),
        ("NOTIFICATIONS_EMAIL_FROM", "Acme <notify@example.com>"),
        ("APP_BASE_URL", "https://app.example.com"),
        // Not part of what is measured: a slow machine should not end a run early.
        ("NOTIFY_DELIVERY_MAX_RUNTIME", "1h"),
    ];
    let done = job::run_with(url, workers, &["deliver"], &variables)?;
    let delivered = lab
        .count("SELECT count(*) FROM notification_deliveries WHERE status = 'delivered' AND attempts = 1")
        .await?;
    let (messages, taken) = (u64::from(lab.options.messages()), receiver.take());
    if delivered.unsigned_abs() != messages || taken != messages {
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT concat_ws(' ', status, attempts, reason) FROM notification_deliveries",
        )
        .fetch_all(&mut lab.db)
        .await?;
        anyhow::bail!(
            "{delivered} of {messages} messages were delivered, {taken} taken: {rows:#?}"
        );
    }
    Ok(done)
}
