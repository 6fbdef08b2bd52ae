//! The mixed load: the job's time against that of bare inserts of the same rows.

use serde_json::json;

use super::job::{self, Runs};
use super::lab::Lab;
use super::limit;
use super::sample::Sample;
use super::section::{Section, table};

pub(crate) async fn measure(lab: &mut Lab) -> anyhow::Result<Section> {
    // A run that does not count, for the rows that it leaves.
    lab.restore().await?;
    job::run_once(&lab.url)?;
    lab.expect_all_completed().await?;
    let rows = limit::keep(lab).await?;
    let mut limits = Vec::new();
    let workers = lab.options.workers.iter();
    let mut jobs: Vec<_> = workers.map(|&workers| Runs::new(workers)).collect();
    for _ in 0..lab.options.runs() {
        limits.push(limit::seconds(lab).await?);
        for jobs in &mut jobs {
            lab.restore().await?;
            let (time, used) = job::run(&lab.url, jobs.workers, &[], &[])?;
            lab.expect_all_completed().await?;
            jobs.add(time, &used);
        }
    }
    let events = f64::from(lab.options.events());
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
        &limit.show(2),
        "1",
        &format!("{:.0}", events / limit.median),
    ]);
    for jobs in &jobs {
        let name = format!("{} × the job", jobs.workers);
        let cells = jobs.cells(&limits, events).into_iter();
        table.add_row([name].into_iter().chain(cells));
    }
    let jobs = jobs
        .iter()
        .map(|jobs| jobs.json(&limits, "events_per_second", events));
    Ok(Section {
        name: "load",
        title: format!(
            "The mixed load: {events} events, median (min–max) of {} runs",
            limit.runs
        ),
        table,
        note: format!(
            "Rows written: {} notifications, {} mails, {} processing rows. Each ratio is taken \
             within its run; a job's time is that of whole processes.",
            rows.notifications, rows.pending_emails, rows.notification_processing,
        ),
        json: json!({
            "rows": rows,
            "limit_seconds": limit,
            "jobs": jobs.collect::<Vec<_>>(),
        }),
    })
}
