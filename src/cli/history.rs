//! The delivery history of an event as text.

use std::fmt::{self, Write as _};

use super::attempts;
use super::human::counted;
use super::output::Style;
use crate::ops::delivery_history::{HistoryDelivery, HistoryEntry};

/// Attempts shown of one delivery here.
const MOST_ATTEMPTS: usize = 3;

/// A line for each recipient, and its last attempts below where it took more than one. Nothing, if
/// there are none.
pub(super) fn write(
    f: &mut impl fmt::Write,
    entries: &[HistoryEntry],
    style: Style,
) -> fmt::Result {
    if entries.is_empty() {
        return Ok(());
    }
    writeln!(f, "\nDeliveries:")?;
    let width = |text: fn(&HistoryDelivery) -> &str| {
        let texts = entries.iter().map(|entry| text(&entry.delivery));
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let channel_width = width(|delivery| &delivery.channel);
    let to_width = width(|delivery| &delivery.to);
    for HistoryEntry { delivery, attempts } in entries {
        writeln!(
            f,
            "  {:<channel_width$}  {:<to_width$}  {}",
            delivery.channel,
            delivery.to,
            outcome(delivery, style)
        )?;
        let is_smooth = attempts.len() <= 1 && delivery.status == "delivered";
        if !is_smooth {
            let skipped = attempts.len().saturating_sub(MOST_ATTEMPTS);
            attempts::write(f, &attempts[skipped..], "    ", false, style)?;
            if let Some(id) = delivery.delivery_id.filter(|_| skipped > 0) {
                let earlier = counted(skipped as u64, "earlier attempt", "earlier attempts");
                let note = format!("{earlier}: notify-fan-out dead-letters show {id}");
                writeln!(f, "    {}", style.dim(&note))?;
            }
        }
    }
    Ok(())
}

fn outcome(delivery: &HistoryDelivery, style: Style) -> String {
    let time = |time: Option<chrono::DateTime<chrono::Utc>>| {
        time.map_or_else(String::new, |time| {
            time.format(" %Y-%m-%d %H:%M:%S UTC").to_string()
        })
    };
    let mut text = match delivery.status.as_str() {
        "delivered" | "sent" => style.good(&delivery.status) + &time(delivery.finished_at),
        "dead" | "uncertain" | "failed" => {
            style.bad(&delivery.status) + &time(delivery.finished_at)
        }
        "cancelled" => style.warn("cancelled") + &time(delivery.finished_at),
        "pending" if delivery.next_attempt_at.is_some() => {
            format!("pending, due{}", time(delivery.next_attempt_at))
        }
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
    if let Some(reason) = delivery
        .reason
        .as_deref()
        .filter(|_| delivery.status != "delivered")
    {
        let _ = write!(text, ": {reason}");
    }
    text
}
