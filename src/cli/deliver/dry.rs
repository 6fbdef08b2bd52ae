//! What a run of `deliver` would send, message by message.

use std::fmt::{self, Display};

use serde::Serialize;
use serde_json::json;

use crate::cli::output::{self, Lines, Style};
use crate::cli::{Exit, database_failure};
use crate::config::Format;
use crate::db::Database;
use crate::delivery::{DeliverySettings, DryRunDelivery, DryRunOutcome, Sender, dry_run};

/// Messages shown as text; JSON has them all.
const MOST_SHOWN: u64 = 100;

pub(super) async fn execute(
    database: &Database,
    sender: &Sender,
    settings: &DeliverySettings,
    format: Format,
) -> Exit {
    let mut listing = Listing {
        lines: Lines::new(),
        style: Style::stdout(),
        format,
        would: Counts::default(),
    };
    let mut list = |message| listing.message(&message);
    let result = dry_run(database, sender, settings, &mut list).await;
    let would = listing.end()?;
    result.map_err(|error| database_failure(database, error))?;
    output::done(&Summary { would }, format)
}

#[derive(Serialize)]
#[serde(tag = "kind", rename = "summary")]
struct Summary {
    would: Counts,
}

#[derive(Default, Serialize)]
struct Counts {
    send: u64,
    cancel: u64,
    die: u64,
    wait: u64,
}

impl Counts {
    fn all(&self) -> u64 {
        self.send + self.cancel + self.die + self.wait
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let would = &self.would;
        if would.all() == 0 {
            return f.write_str("Nothing is due. (Dry run: nothing was sent or written.)");
        }
        write!(
            f,
            "Dry run: nothing was sent or written. A run would send={} cancel={} dead={} wait={}",
            would.send, would.cancel, would.die, would.wait
        )
    }
}

/// A line a message, as text or JSON.
struct Listing {
    lines: Lines,
    style: Style,
    format: Format,
    would: Counts,
}

impl Listing {
    fn end(mut self) -> std::io::Result<Counts> {
        let more = self.would.all().saturating_sub(MOST_SHOWN);
        if self.format == Format::Text && more > 0 {
            let more = format!("… and {more} more; --format json lists all");
            self.lines.line(self.style.dim(&more));
        }
        self.lines.end()?;
        Ok(self.would)
    }
}

impl Listing {
    fn message(&mut self, message: &DryRunDelivery) {
        let style = self.style;
        let channel = message.channel.name();
        let head = format!("{channel:<8} {:<28}", message.event_type);
        let would = &mut self.would;
        let (decision, sent, reason, counter, text) = match &message.outcome {
            DryRunOutcome::Send { to, title } => {
                let text = format!("{} to {to:<28}  {title}", style.bold(&head));
                let sent = Some((to, title));
                ("send", sent, None, &mut would.send, text)
            }
            DryRunOutcome::Cancel(reason) => {
                let text = style.dim(&format!("would be cancelled: {reason}"));
                let text = format!("{head} {text}");
                ("cancel", None, Some(reason), &mut would.cancel, text)
            }
            DryRunOutcome::Die(reason) => {
                let text = style.bad(&format!("would become a dead letter: {reason}"));
                let text = format!("{head} {text}");
                ("dead", None, Some(reason), &mut would.die, text)
            }
            DryRunOutcome::Wait(reason) => {
                let text = style.warn(&format!("would wait: {reason}"));
                let text = format!("{head} {text}");
                ("wait", None, Some(reason), &mut would.wait, text)
            }
        };
        *counter += 1;
        match self.format {
            Format::Json => self.lines.line(json!({
                "kind": "message",
                "delivery_id": message.delivery_id,
                "channel": channel,
                "event_type": message.event_type,
                "recipient": message.recipient,
                "verdict": decision,
                "to": sent.map(|(to, _)| to),
                "title": sent.map(|(_, title)| title),
                "reason": reason,
            })),
            Format::Text if self.would.all() <= MOST_SHOWN => self.lines.line(text),
            Format::Text => {}
        }
    }
}
