//! The delivery history of an event as text.

use std::fmt::{self, Write as _};

use super::attempts;
use super::human::{aligned, counted, utc};
use super::output::Style;
use crate::ops::delivery_history::HistoryEntry;

/// Attempts shown of one delivery here.
const MOST_ATTEMPTS: usize = 3;

/// A line for each recipient, and its last attempts below where it took more than one. Nothing, if
/// there are none.
pub(super) fn write(
    f: &mut impl fmt::Write,
    deliveries: &[HistoryEntry],
    style: Style,
) -> fmt::Result {
    if deliveries.is_empty() {
        return Ok(());
    }
    writeln!(f, "\nDeliveries:")?;
    let recipients = deliveries.iter();
    let recipients = recipients.map(|delivery| [delivery.channel.clone(), delivery.to.clone()]);
    let lines = aligned(&recipients.collect::<Vec<_>>(), 2);
    for (delivery, line) in deliveries.iter().zip(lines) {
        writeln!(f, "  {line}  {}", outcome(delivery, style))?;
        let is_smooth = delivery.attempts.len() <= 1 && delivery.status == "delivered";
        if !is_smooth {
            let skipped = delivery.attempts.len().saturating_sub(MOST_ATTEMPTS);
            attempts::write(f, &delivery.attempts[skipped..], "    ", false, style)?;
            if let Some(id) = delivery.delivery_id.filter(|_| skipped > 0) {
                let earlier = counted(skipped as u64, "earlier attempt", "earlier attempts");
                let note = format!("{earlier}: notify-fan-out dead-letters show {id}");
                writeln!(f, "    {}", style.dim(&note))?;
            }
        }
    }
    Ok(())
}

fn outcome(delivery: &HistoryEntry, style: Style) -> String {
    let status = delivery.status.as_str();
    let finished = delivery.finished_at.map(|time| format!(" {}", utc(time)));
    let finished = finished.unwrap_or_default();
    let mut text = match status {
        "delivered" | "sent" => style.good(status) + &finished,
        "dead" | "uncertain" | "failed" => style.bad(status) + &finished,
        "cancelled" => style.warn(status) + &finished,
        "pending" => match delivery.next_attempt_at {
            Some(time) => format!("pending, due {}", utc(time)),
            None => status.to_owned(),
        },
        other => other.to_owned(),
    };
    if let Some(id) = delivery.delivery_id {
        let kind = if delivery.is_digest {
            "digest"
        } else {
            "delivery"
        };
        let _ = write!(text, " ({kind} {id})");
    }
    if delivery.attempts_count > 1 {
        let _ = write!(text, ", {} attempts", delivery.attempts_count);
    }
    if let Some(reason) = &delivery.reason
        && status != "delivered"
    {
        let _ = write!(text, ": {reason}");
    }
    text
}
