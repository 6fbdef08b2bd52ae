//! What a run of `deliver` would send, message by message.

use std::fmt::{self, Display};

use serde::Serialize;
use serde_json::json;

use crate::cli::output::{self, Lines, Style};
use crate::cli::{ExitStatus, Failure, database_failure};
use crate::config::Format;
use crate::db::Database;
use crate::delivery::{
    DeliverySettings, DryRunDelivery, DryRunListener, DryRunOutcome, Sender, dry_run,
};

/// Messages shown as text; JSON has them all.
const MOST_SHOWN: u64 = 100;

pub(super) async fn execute(
    database: &Database,
    sender: &Sender,
    settings: &DeliverySettings,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let mut listing = Listing {
        lines: Lines::new(),
        style: Style::stdout(),
        format,
        counts: Counts::default(),
    };
    let result = dry_run(database, sender, settings, &mut listing).await;
    let would = listing.end()?;
    result.map_err(|error| database_failure(database, error))?;
    output::emit(
        &Summary {
            kind: "summary",
            would,
        },
        format,
    )?;
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct Summary {
    kind: &'static str,
    would: Counts,
}

#[derive(Debug, Default, Serialize)]
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
        let Counts {
            send,
            cancel,
            die,
            wait,
        } = self.would;
        if self.would.all() == 0 {
            return f.write_str("Nothing is due. (Dry run: nothing was sent or written.)");
        }
        write!(
            f,
            "Dry run: nothing was sent or written. A run would send={send} cancel={cancel} dead={die} wait={wait}"
        )
    }
}

/// A line a message, as text or JSON.
struct Listing {
    lines: Lines,
    style: Style,
    format: Format,
    counts: Counts,
}

impl Listing {
    fn end(mut self) -> std::io::Result<Counts> {
        let more = self.counts.all().saturating_sub(MOST_SHOWN);
        if self.format == Format::Text && more > 0 {
            let more = format!("… and {more} more; --format json lists all");
            self.lines.line(self.style.dim(&more));
        }
        self.lines.end()?;
        Ok(self.counts)
    }

    fn text(&self, message: &DryRunDelivery) -> String {
        let style = self.style;
        let head = format!("{:<8} {:<28}", message.channel.name(), message.event_type);
        match &message.outcome {
            DryRunOutcome::Send { to, title } => {
                format!("{} to {to:<28}  {title}", style.bold(&head))
            }
            DryRunOutcome::Cancel(reason) => {
                format!(
                    "{head} {}",
                    style.dim(&format!("would be cancelled: {reason}"))
                )
            }
            DryRunOutcome::Die(reason) => {
                format!(
                    "{head} {}",
                    style.bad(&format!("would become a dead letter: {reason}"))
                )
            }
            DryRunOutcome::Wait(reason) => {
                format!("{head} {}", style.warn(&format!("would wait: {reason}")))
            }
        }
    }
}

impl DryRunListener for Listing {
    fn message(&mut self, message: &DryRunDelivery) {
        let (outcome, to, title, reason, counter) = match &message.outcome {
            DryRunOutcome::Send { to, title } => {
                ("send", Some(to), Some(title), None, &mut self.counts.send)
            }
            DryRunOutcome::Cancel(reason) => {
                ("cancel", None, None, Some(reason), &mut self.counts.cancel)
            }
            DryRunOutcome::Die(reason) => ("dead", None, None, Some(reason), &mut self.counts.die),
            DryRunOutcome::Wait(reason) => {
                ("wait", None, None, Some(reason), &mut self.counts.wait)
            }
        };
        *counter += 1;
        match self.format {
            Format::Json => {
                let line = json!({
                    "kind": "message",
                    "delivery_id": message.delivery_id,
                    "channel": message.channel.name(),
                    "event_type": message.event_type,
                    "recipient": message.recipient,
                    "verdict": outcome,
                    "to": to,
                    "title": title,
                    "reason": reason,
                });
                self.lines.line(line);
            }
            Format::Text if self.counts.all() <= MOST_SHOWN => {
                let line = self.text(message);
                self.lines.line(line);
            }
            Format::Text => {}
        }
    }
}
