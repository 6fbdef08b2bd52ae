//! What a run of `deliver` would send, message by message.

use std::fmt::{self, Display};

use serde::Serialize;
use serde_json::json;

use crate::cli::output::{self, Lines, Style};
use crate::cli::{ExitStatus, Failure, database_failure};
use crate::config::Format;
use crate::db::Database;
use crate::delivery::{Audit, Post, Previewed, Settings, Verdict, preview};

/// Messages shown as text; JSON has them all.
const MOST_SHOWN: u64 = 100;

pub(super) async fn execute(
    database: &Database,
    post: &Post,
    settings: &Settings,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let mut listing = Listing {
        lines: Lines::new(),
        style: Style::stdout(),
        format,
        counts: Counts::default(),
    };
    let result = preview(database, post, settings, &mut listing).await;
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

    fn text(&self, message: &Previewed) -> String {
        let style = self.style;
        let head = format!("{:<8} {:<28}", message.channel.name(), message.event_type);
        match &message.verdict {
            Verdict::Send { to, title } => format!("{} to {to:<28}  {title}", style.bold(&head)),
            Verdict::Cancel(reason) => {
                format!(
                    "{head} {}",
                    style.dim(&format!("would be cancelled: {reason}"))
                )
            }
            Verdict::Die(reason) => {
                format!(
                    "{head} {}",
                    style.bad(&format!("would become a dead letter: {reason}"))
                )
            }
            Verdict::Wait(reason) => {
                format!("{head} {}", style.warn(&format!("would wait: {reason}")))
            }
        }
    }
}

impl Audit for Listing {
    fn message(&mut self, message: &Previewed) {
        let (verdict, to, title, reason, counter) = match &message.verdict {
            Verdict::Send { to, title } => {
                ("send", Some(to), Some(title), None, &mut self.counts.send)
            }
            Verdict::Cancel(reason) => {
                ("cancel", None, None, Some(reason), &mut self.counts.cancel)
            }
            Verdict::Die(reason) => ("dead", None, None, Some(reason), &mut self.counts.die),
            Verdict::Wait(reason) => ("wait", None, None, Some(reason), &mut self.counts.wait),
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
                    "verdict": verdict,
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
