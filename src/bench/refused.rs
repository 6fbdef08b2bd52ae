//! The mixed load where the database refuses a share of the events.

use serde_json::json;

use super::job;
use super::lab::Lab;
use super::sample::Sample;
use super::section::{Section, small, table};

const PER_CENT: [u32; 3] = [0, 10, 50];
const DROP: &str = "ALTER TABLE notifications DROP CONSTRAINT IF EXISTS refused";

pub(crate) async fn measure(lab: &mut Lab) -> anyhow::Result<Section> {
    let mut seconds = PER_CENT.map(|_| Vec::new());
    let mut transactions = PER_CENT.map(|_| Vec::new());
    for _ in 0..lab.options.runs() {
        for (at, per_cent) in PER_CENT.into_iter().enumerate() {
            lab.restore().await?;
            lab.sql(&format!(
                "ALTER TABLE notifications ADD CONSTRAINT refused CHECK (abs(hashint8(event_id)) % 100 >= {per_cent})"
            ))
            .await?;
            let before = lab.transactions().await?;
            seconds[at].push(job::run_once(&lab.url)?.as_secs_f64());
            transactions[at].push(small(lab.transactions().await? - before));
            lab.sql(DROP).await?;
        }
    }
    let events = f64::from(lab.options.events());
    let (seconds, transactions) = (seconds.map(Sample::of), transactions.map(Sample::of));
    let mut table = table(&[
        "refused",
        "seconds",
        "events/s",
        "× none",
        "transactions",
        "× none",
    ]);
    for (at, per_cent) in PER_CENT.into_iter().enumerate() {
        table.add_row([
            format!("{per_cent} %"),
            seconds[at].show(2),
            format!("{:.0}", events / seconds[at].median),
            format!("{:.2}", seconds[0].median / seconds[at].median),
            transactions[at].show(0),
            format!("{:.2}", transactions[at].median / transactions[0].median),
        ]);
    }
    Ok(Section {
        name: "refused",
        title: format!(
            "Refused events: {} events, one worker",
            lab.options.events()
        ),
        table,
        note: "A CHECK on notifications refuses events by a hash of their ids.".to_owned(),
        json: json!({"per_cent": PER_CENT, "seconds": seconds, "transactions": transactions}),
    })
}
