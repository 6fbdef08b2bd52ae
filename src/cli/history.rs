//! What became of an event's messages, in words.

use std::fmt::Write as _;

use super::attempts;
use super::human::counted;
use super::output::Style;
use crate::ops::trace::Fate;

/// Attempts shown of one delivery here.
const MOST_ATTEMPTS: usize = 3;

/// A line for each recipient, and its last attempts below where it took more than one. Nothing, if
/// there is nothing to tell.
pub(super) fn in_words(fates: &[Fate], style: Style) -> String {
    if fates.is_empty() {
        return String::new();
    }
    let mut words = String::from("\nWhat left the building, or was to:\n");
    let width = |text: fn(&Fate) -> &str| fates.iter().map(|fate| text(fate).chars().count()).max();
    let channel_width = width(|fate| &fate.channel).unwrap_or(0);
    let to_width = width(|fate| &fate.to).unwrap_or(0);
    for fate in fates {
        let _ = writeln!(
            words,
            "  {:<channel_width$}  {:<to_width$}  {}",
            fate.channel,
            fate.to,
            outcome(fate, style)
        );
        let is_smooth = fate.attempts.len() <= 1 && fate.status == "delivered";
        if !is_smooth {
            let skipped = fate.attempts.len().saturating_sub(MOST_ATTEMPTS);
            attempts::write(&mut words, &fate.attempts[skipped..], "    ", false, style);
            if let Some(id) = fate.delivery_id.filter(|_| skipped > 0) {
                let earlier = counted(skipped as u64, "earlier attempt", "earlier attempts");
                let note = format!("{earlier}: notify-fan-out dead-letters show {id}");
                let _ = writeln!(words, "    {}", style.dim(&note));
            }
        }
    }
    words
}

fn outcome(fate: &Fate, style: Style) -> String {
    let time = |time: Option<chrono::DateTime<chrono::Utc>>| {
        time.map_or_else(String::new, |time| {
            time.format(" %Y-%m-%d %H:%M:%S UTC").to_string()
        })
    };
    let mut words = match fate.status.as_str() {
        "delivered" | "sent" => style.good(&fate.status) + &time(fate.finished_at),
        "dead" | "uncertain" | "failed" => style.bad(&fate.status) + &time(fate.finished_at),
        "cancelled" => style.warn("cancelled") + &time(fate.finished_at),
        "pending" if fate.next_attempt_at.is_some() => {
            format!("pending, due{}", time(fate.next_attempt_at))
        }
        other => other.to_owned(),
    };
    if let Some(id) = fate.delivery_id {
        let kind = if fate.is_digest { "digest" } else { "delivery" };
        let _ = write!(words, " ({kind} {id})");
    }
    if fate.attempts_count > 1 {
        let _ = write!(words, ", {} attempts", fate.attempts_count);
    }
    if let Some(reason) = fate
        .reason
        .as_deref()
        .filter(|_| fate.status != "delivered")
    {
        let _ = write!(words, ": {reason}");
    }
    words
}
