//! What the trigger costs those who write events.

use std::time::Instant;

use serde_json::{Value, json};
use sqlx::types::{Json, Uuid};
use sqlx::{Connection, PgConnection};

use super::lab::Lab;
use super::sample::Sample;
use super::section::{Section, table};

/// One event that an application has to tell of.
#[derive(Debug, sqlx::FromRow)]
struct Event {
    #[sqlx(rename = "event_type")]
    kind: String,
    actor_id: Option<Uuid>,
    project_id: Option<Uuid>,
    org_id: Option<Uuid>,
    resource_id: Option<Uuid>,
    thread_id: Option<Uuid>,
    meeting_id: Option<Uuid>,
    payload: Option<Json<Value>>,
}

const ONE: &str = "INSERT INTO domain_events \
     (event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

const ALL: &str = "INSERT INTO domain_events \
     (event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload) \
     SELECT event_type, actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload \
       FROM bench.events ORDER BY id";

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A transaction each.
    OneByOne,
    /// One statement for all.
    InBulk,
}

pub(crate) async fn measure(lab: &mut Lab) -> anyhow::Result<Section> {
    let all = lab.options.events();
    let few = all.div_ceil(4);
    let events: Vec<Event> = sqlx::query_as("SELECT * FROM bench.events ORDER BY id LIMIT $1")
        .bind(i64::from(few))
        .fetch_all(&mut lab.db)
        .await?;
    let mut table = table(&["", "rows/s", "µs per row", "× without"]);
    let mut results = Vec::new();
    for (way, count, name) in [
        (Way::OneByOne, few, "one by one"),
        (Way::InBulk, all, "in bulk"),
    ] {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for run in 0..=lab.options.runs() {
            // In turn, and each first in every other run.
            for trigger in [run % 2 == 0, run % 2 == 1] {
                let time = write(lab, way, &events, trigger).await?;
                // The first run is for the caches.
                if run > 0 {
                    if trigger { &mut with } else { &mut without }.push(time);
                }
            }
        }
        let count = f64::from(count);
        let ratio = Sample::of(
            with.iter()
                .zip(&without)
                .map(|(with, without)| with / without),
        );
        for (times, label, factor) in [
            (&without, "without the trigger", "1".to_owned()),
            (&with, "with the trigger", ratio.show(2, "").to_string()),
        ] {
            let rate = Sample::of(times.iter().map(|time| count / time));
            let cost = Sample::of(times.iter().map(|time| time * 1e6 / count));
            table.add_row([
                format!("{name} ({count}), {label}"),
                rate.show(0, "").to_string(),
                cost.show(1, "").to_string(),
                factor,
            ]);
            results.push(json!({
                "way": name, "rows": count, "trigger": label == "with the trigger",
                "rows_per_second": rate, "microseconds_per_row": cost,
            }));
        }
        results.push(json!({ "way": name, "ratio": ratio }));
    }
    put_back(lab).await?;
    Ok(Section {
        name: "writer",
        title: format!(
            "The writer's cost: median (min–max) of {} runs",
            lab.options.runs()
        ),
        table,
        notes: vec![
            "Into empty tables, on one connection. One by one: a prepared INSERT and a durable \
             commit each. In bulk: one INSERT … SELECT. The ratio is of times, taken within each \
             run."
                .to_owned(),
        ],
        json: json!(results),
    })
}

async fn write(lab: &mut Lab, way: Way, events: &[Event], trigger: bool) -> anyhow::Result<f64> {
    lab.sql("TRUNCATE domain_events RESTART IDENTITY CASCADE")
        .await?;
    lab.sql(if trigger {
        "ALTER TABLE domain_events ENABLE TRIGGER notify_fan_out_enqueue"
    } else {
        "ALTER TABLE domain_events DISABLE TRIGGER notify_fan_out_enqueue"
    })
    .await?;
    lab.sql("CHECKPOINT").await?;
    let mut connection = lab.connect().await?;
    let started = Instant::now();
    match way {
        Way::OneByOne => {
            for event in events {
                insert(&mut connection, event).await?;
            }
        }
        Way::InBulk => {
            sqlx::raw_sql(ALL).execute(&mut connection).await?;
        }
    }
    let time = started.elapsed().as_secs_f64();
    connection.close().await?;
    let written = lab.count("SELECT count(*) FROM domain_events").await?;
    let queued = lab
        .count("SELECT count(*) FROM notification_processing")
        .await?;
    anyhow::ensure!(
        queued == if trigger { written } else { 0 },
        "{queued} of {written} events were queued"
    );
    Ok(time)
}

async fn insert(connection: &mut PgConnection, event: &Event) -> sqlx::Result<()> {
    sqlx::query(ONE)
        .bind(&event.kind)
        .bind(event.actor_id)
        .bind(event.project_id)
        .bind(event.org_id)
        .bind(event.resource_id)
        .bind(event.thread_id)
        .bind(event.meeting_id)
        .bind(&event.payload)
        .execute(connection)
        .await?;
    Ok(())
}

/// Leaves the world's events as they were, under the same numbers.
pub(crate) async fn put_back(lab: &mut Lab) -> anyhow::Result<()> {
    lab.sql(
        "TRUNCATE domain_events RESTART IDENTITY CASCADE;
         ALTER TABLE domain_events ENABLE TRIGGER notify_fan_out_enqueue",
    )
    .await?;
    lab.sql(ALL).await?;
    lab.sql("VACUUM (ANALYZE)").await
}
