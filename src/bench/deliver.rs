//! Delivery to receivers that are as fast as they can be, against what a bare client needs for the
//! same messages without a database.

mod bare;
mod receiver;

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::job::{self, Runs, Used};
use super::lab::Lab;
use super::sample::Sample;
use super::section::{Section, small, table};
use receiver::Receiver;

const ENDPOINTS: usize = 10;
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
        let figures = of_one_kind(lab, &receiver, what, &mut table).await?;
        json.insert(what.to_string(), figures);
    }
    let runs = lab.options.runs();
    Ok(Section {
        name: "deliver",
        title: format!("Delivery of {messages} messages, median (min–max) of {runs} runs"),
        table,
        note: format!(
            "Webhooks go to {ENDPOINTS} endpoints, signed; e-mails to people, by SMTP without \
             encryption. All of it is on one machine, receivers included. The limit is a bare \
             client with as many messages in flight, and no database; a job's time is that of \
             whole processes."
        ),
        json: json.into(),
    })
}

/// One kind of message: adds its rows to the table, and returns its figures.
async fn of_one_kind(
    lab: &mut Lab,
    receiver: &Receiver,
    what: What,
    table: &mut comfy_table::Table,
) -> anyhow::Result<Value> {
    let at_once = match what {
        What::Webhooks => CONCURRENCY,
        What::Emails => PER_TARGET,
    };
    let messages = lab.options.messages();
    let sent = f64::from(messages);
    let mut limits = Vec::new();
    let workers = lab.options.workers.iter();
    let mut jobs: Vec<_> = workers.map(|&workers| Runs::new(workers)).collect();
    for _ in 0..lab.options.runs() {
        limits.push(bare::seconds(receiver, what, messages, at_once).await?);
        anyhow::ensure!(receiver.take() == u64::from(messages), "{what} got lost");
        for jobs in &mut jobs {
            let url = lab.url.clone();
            let (time, used) = deliver(lab, receiver, &url, jobs.workers).await?;
            jobs.add(time, &used);
        }
    }
    let (proxy, url) = lab.proxy()?;
    deliver(lab, receiver, &url, 1).await?;
    let traffic = proxy.take();
    let per_message = |count: u64| small(count.cast_signed()) / sent;
    let round_trips = per_message(traffic.round_trips);
    let commits = per_message(traffic.commits) * 1_000.0;

    let limit = Sample::of(limits.iter().copied());
    table.add_row([
        format!("{what}, limit: bare client, {at_once} at once"),
        limit.show(2),
        format!("{:.0}", sent / limit.median),
        "1".to_owned(),
    ]);
    for jobs in &jobs {
        let [seconds, ratio, rate, cpu, peak] = jobs.cells(&limits, sent);
        let name = format!("{what}, {} × the job", jobs.workers);
        let mut row = vec![name, seconds, rate, ratio, cpu, peak];
        if jobs.workers == 1 {
            row.extend([round_trips, commits].map(|count| format!("{count:.2}")));
        }
        table.add_row(row);
    }
    let jobs = jobs
        .iter()
        .map(|jobs| jobs.json(&limits, "messages_per_second", sent));
    Ok(json!({
        "messages": messages,
        "at_once": at_once,
        "limit_seconds": limit,
        "jobs": jobs.collect::<Vec<_>>(),
        "round_trips_per_message": round_trips,
        "commits_per_1000": commits,
    }))
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
    let done = job::run(url, workers, &["deliver"], &variables)?;
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
