//! The mixed load: the job's time against that of bare inserts of the same rows.

use serde_json::json;

use super::job;
use super::lab::Lab;
use super::limit;
use super::sample::Sample;
use super::section::{Section, table};

pub(crate) async fn measure(lab: &mut Lab) -> anyhow::Result<Section> {
    // A run that does not count, for the rows that it leaves.
    lab.restore().await?;
    job::run(&lab.url, 1, &[])?;
    lab.expect_all_completed().await?;
    let rows = limit::keep(lab).await?;
    let workers = lab.options.workers.clone();
    let mut limits = Vec::new();
    let mut times = vec![Vec::new(); workers.len()];
    let mut busy = vec![Vec::new(); workers.len()];
    let mut peaks = vec![0_u64; workers.len()];
    for _ in 0..lab.options.runs() {
        limits.push(limit::seconds(lab).await?);
        for (at, &workers) in workers.iter().enumerate() {
            lab.restore().await?;
            let (time, used) = job::run(&lab.url, workers, &[])?;
            lab.expect_all_completed().await?;
            times[at].push(time.as_secs_f64());
            busy[at].push(used.iter().map(|used| used.cpu.as_secs_f64()).sum::<f64>());
            peaks[at] = used
                .iter()
                .map(|used| used.peak_bytes)
                .chain([peaks[at]])
                .max()
                .unwrap_or(0);
        }
    }
    let events = f64::from(lab.options.events());
    let rate = |time: f64| format!("{:.0}", events / time);
    let mut table = table(&[
        "",
        "seconds",
        "× limit",
        "events/s",
        "client's CPU s",
        "peak MiB",
    ]);
    let limit = Sample::of(limits.iter().copied());
    table.add_row([
        "limit: bare inserts, one connection",
        &limit.show(2, "").to_string(),
        "1",
        &rate(limit.median),
        "",
        "",
    ]);
    let mut results = Vec::new();
    for (at, &workers) in workers.iter().enumerate() {
        let time = Sample::of(times[at].iter().copied());
        let ratio = Sample::of(
            times[at]
                .iter()
                .zip(&limits)
                .map(|(time, limit)| time / limit),
        );
        let cpu = Sample::of(busy[at].iter().copied());
        table.add_row([
            format!("{workers} × the job"),
            time.show(2, "").to_string(),
            ratio.show(2, "").to_string(),
            rate(time.median),
            cpu.show(2, "").to_string(),
            format!("{}", peaks[at] / (1024 * 1024)),
        ]);
        results.push(json!({
            "workers": workers, "seconds": time, "ratio": ratio, "client_cpu_seconds": cpu,
            "peak_bytes": peaks[at],
            "events_per_second": events / time.median,
        }));
    }
    Ok(Section {
        name: "load",
        title: format!(
            "The mixed load: {} events, median (min–max) of {} runs",
            lab.options.events(),
            limit.runs
        ),
        table,
        notes: vec![format!(
            "Rows written: {} notifications, {} mails, {} processing rows. Each ratio is taken \
             within its run; a job's time is that of whole processes.",
            rows.notifications, rows.pending_emails, rows.notification_processing,
        )],
        json: json!({
            "rows": rows,
            "limit_seconds": limit,
            "jobs": results,
        }),
    })
}
