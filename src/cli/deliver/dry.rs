//! What a run of `deliver` would send, message by message.

use std::io::{self, Write};

use serde_json::json;

use super::super::output::{self, Style};
use super::super::{ExitStatus, Failure, database_failure};
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
        out: io::BufWriter::new(io::stdout().lock()),
        result: Ok(()),
        style: Style::stdout(),
        format,
        counts: Counts::default(),
    };
    let result = preview(database, post, settings, &mut listing).await;
    listing.end();
    let Listing {
        mut out,
        result: written,
        counts,
        ..
    } = listing;
    written?;
    out.flush()?;
    drop(out);
    result.map_err(|error| database_failure(database, error))?;
    match format {
        Format::Json => output::json(&json!({ "kind": "summary", "would": counts }))?,
        Format::Text => output::text(&summary(&counts))?,
    }
    Ok(ExitStatus::Success)
}

#[derive(Debug, Default, serde::Serialize)]
struct Counts {
    send: u64,
    cancel: u64,
    die: u64,
    wait: u64,
}

fn summary(counts: &Counts) -> String {
    let all = counts.send + counts.cancel + counts.die + counts.wait;
    if all == 0 {
        return "Nothing is due. (Dry run: nothing was sent or written.)".to_owned();
    }
    format!(
        "Dry run: nothing was sent or written. A run would send={} cancel={} dead={} wait={}",
        counts.send, counts.cancel, counts.die, counts.wait
    )
}

/// A line a message, as text or JSON.
struct Listing<W> {
    out: W,
    result: io::Result<()>,
    style: Style,
    format: Format,
    counts: Counts,
}

impl<W: Write> Listing<W> {
    fn line(&mut self, line: &str) {
        if self.result.is_ok() {
            self.result = writeln!(self.out, "{line}");
        }
    }

    fn shown(&self) -> u64 {
        self.counts.send + self.counts.cancel + self.counts.die + self.counts.wait
    }

    fn end(&mut self) {
        if self.format == Format::Text && self.shown() > MOST_SHOWN {
            let more = format!(
                "… and {} more; --format json lists all",
                self.shown() - MOST_SHOWN
            );
            let more = self.style.dim(&more);
            self.line(&more);
        }
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

impl<W: Write> Audit for Listing<W> {
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
                self.line(&line.to_string());
            }
            Format::Text if self.shown() <= MOST_SHOWN => {
                let line = self.text(message);
                self.line(&line);
            }
            Format::Text => {}
        }
    }
}
