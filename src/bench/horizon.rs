//! A claim while another transaction holds the horizon: what the job has settled since that began
//! stays in the tables and in the index that the claim reads, and nothing can clean it up.

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection};

use super::claim::Claimer;
use super::lab::Lab;
use super::sample::Sample;
use super::section::{Section, table};

/// Claims at each point.
const CLAIMS: u32 = 10;
/// The points, in per cent of all that is settled meanwhile.
const POINTS: [u32; 4] = [0, 20, 50, 100];

/// The events that are due, by their first and last number.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
struct Due {
    first: i64,
    last: i64,
}

pub(crate) async fn measure(lab: &mut Lab, past: &str, due: u32) -> anyhow::Result<Section> {
    // Autovacuum could do nothing while the transaction is open, and it might come in between after it.
    lab.sql("ALTER TABLE notification_processing SET (autovacuum_enabled = off)")
        .await?;
    let mut batch = enqueue(lab, due).await?;
    let mut claimer = Claimer::connect(&lab.url).await?;
    // For the caches.
    for _ in 0..CLAIMS {
        claimer.time(due).await?;
    }
    let mut states = Vec::new();
    states.push(State::look(lab, &mut claimer, "before the transaction", 0, due, CLAIMS).await?);

    let holder = lab.hold().await?;
    let all = lab.options.beside();
    let mut settled = 0;
    for point in POINTS {
        while settled < all / 100 * point {
            settle(lab, batch).await?;
            settled += due;
            batch = enqueue(lab, due).await?;
        }
        states
            .push(State::look(lab, &mut claimer, "while it is open", settled, due, CLAIMS).await?);
    }
    holder.close().await?;
    for (name, claims) in [("the first claim after it", 1), ("later claims", CLAIMS)] {
        states.push(State::look(lab, &mut claimer, name, settled, due, claims).await?);
    }
    lab.sql("ALTER TABLE notification_processing RESET (autovacuum_enabled)")
        .await?;
    lab.sql("VACUUM (ANALYZE) notification_processing").await?;
    Ok(section(&states, past, due))
}

fn section(states: &[State], past: &str, due: u32) -> Section {
    let mut table = table(&[
        "",
        "settled since it began",
        "claim ms",
        "× before",
        "due index KiB",
    ]);
    let mut results = Vec::new();
    for state in states {
        let ratio = state.claim.median / states[0].claim.median;
        table.add_row([
            state.name.to_owned(),
            state.settled.to_string(),
            state.claim.show(2, "").to_string(),
            format!("{ratio:.2}"),
            state.index_kib.to_string(),
        ]);
        results.push(json!({
            "state": state.name, "settled": state.settled, "ms": state.claim, "ratio": ratio,
            "due_index_kib": state.index_kib,
        }));
    }
    Section {
        name: "horizon",
        title: format!(
            "A claim of {due} events beside a transaction that holds the horizon, {past}: median \
             (min–max) of {CLAIMS}"
        ),
        table,
        notes: vec![
            "A repeatable-read transaction with a snapshot is open while batches of events are \
             enqueued, claimed and settled, a commit each. Nothing is vacuumed, during it or after \
             it: what gets better after it does so by the claims themselves, which mark the dead \
             entries of the index that they have passed."
                .to_owned(),
        ],
        json: json!(results),
    }
}

/// What a claim costs at one point.
#[derive(Debug)]
struct State {
    name: &'static str,
    settled: u32,
    claim: Sample,
    index_kib: i64,
}

impl State {
    async fn look(
        lab: &mut Lab,
        claimer: &mut Claimer,
        name: &'static str,
        settled: u32,
        due: u32,
        claims: u32,
    ) -> anyhow::Result<Self> {
        let mut times = Vec::new();
        for _ in 0..claims {
            times.push(claimer.time(due).await?);
        }
        Ok(Self {
            name,
            settled,
            claim: Sample::of(times),
            index_kib: lab
                .count("SELECT pg_relation_size('notification_processing_due_idx') >> 10")
                .await?,
        })
    }
}

/// So many more events, due now.
async fn enqueue(lab: &mut Lab, due: u32) -> anyhow::Result<Due> {
    lab.sql(&format!("SET bench.due = {due}")).await?;
    let insert = include_str!("due.sql");
    let query = format!(
        "WITH made AS ({insert} RETURNING id) SELECT min(id) AS first, max(id) AS last FROM made"
    );
    Ok(sqlx::query_as(AssertSqlSafe(query))
        .fetch_one(&mut lab.db)
        .await?)
}

/// What claiming and settling do to the rows, by their key: the claim itself would take longer and
/// longer.
async fn settle(lab: &mut Lab, Due { first, last }: Due) -> anyhow::Result<()> {
    let those = format!("WHERE event_id BETWEEN {first} AND {last}");
    for change in [
        "processing_status = 'processing', claimed_at = now(), processor_id = 'bench', \
         claim_token = 1",
        "processing_status = 'completed', completed_at = now()",
    ] {
        lab.sql(&format!(
            "UPDATE notification_processing SET {change} {those}"
        ))
        .await?;
    }
    Ok(())
}
