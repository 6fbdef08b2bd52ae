//! The delivery history of an event, and the attempts of a delivery, as text.

use std::fmt::{self, Write as _};

use super::human::{aligned, counted, time, utc};
use super::output::Style;
use crate::ops::attempts::Attempt;
use crate::ops::delivery_history::{HistoryDelivery, HistoryEntry};

/// Attempts shown of each delivery of an event.
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
    let recipients = entries.iter().map(|entry| &entry.delivery);
    let recipients = recipients.map(|delivery| [delivery.channel.clone(), delivery.to.clone()]);
    let lines = aligned(&recipients.collect::<Vec<_>>(), 2);
    for (HistoryEntry { delivery, attempts }, start) in entries.iter().zip(lines) {
        writeln!(f, "  {start}  {}", outcome(delivery, style))?;
        if attempts.len() <= 1 && delivery.status == "delivered" {
            continue;
        }
        let skipped = attempts.len().saturating_sub(MOST_ATTEMPTS);
        for attempt in &attempts[skipped..] {
            writeln!(f, "    {}", line(attempt, style))?;
        }
        if let Some(id) = delivery.delivery_id.filter(|_| skipped > 0) {
            let earlier = counted(skipped as u64, "earlier attempt", "earlier attempts");
            let note = format!("{earlier}: notify-fan-out dead-letters show {id}");
            writeln!(f, "    {}", style.dim(&note))?;
        }
    }
    Ok(())
}

fn outcome(delivery: &HistoryDelivery, style: Style) -> String {
    let status = delivery.status.as_str();
    let mut text = match (status, delivery.next_attempt_at) {
        ("delivered" | "sent", _) => style.good(status),
        ("dead" | "uncertain" | "failed", _) => style.bad(status),
        ("cancelled", _) => style.warn(status),
        ("pending", Some(due)) => format!("pending, due {}", utc(due)),
        _ => status.to_owned(),
    };
    let is_finished = [
        "delivered",
        "sent",
        "dead",
        "uncertain",
        "failed",
        "cancelled",
    ];
    if let Some(at) = delivery
        .finished_at
        .filter(|_| is_finished.contains(&status))
    {
        let _ = write!(text, " {}", utc(at));
    }
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
    if let Some(reason) = delivery.reason.as_ref().filter(|_| status != "delivered") {
        let _ = write!(text, ": {reason}");
    }
    text
}

/// A line for each attempt, and what was answered below.
pub(super) fn write_attempts(
    f: &mut impl fmt::Write,
    attempts: &[Attempt],
    style: Style,
) -> fmt::Result {
    for attempt in attempts {
        writeln!(f, "  {}", line(attempt, style))?;
        let answer = attempt.answer.as_deref().unwrap_or_default();
        for line in answer.lines().filter(|line| !line.trim().is_empty()) {
            writeln!(f, "    {}", style.dim(&format!("│ {line}")))?;
        }
    }
    Ok(())
}

fn line(attempt: &Attempt, style: Style) -> String {
    let took = attempt.duration_ms.map(|ms| time(f64::from(ms) / 1_000.0));
    let took = took.as_deref().unwrap_or("?");
    let outcome = format!("{:<9}", attempt.outcome);
    let outcome = match attempt.outcome.as_str() {
        "delivered" => style.good(&outcome),
        "retry" | "uncertain" => style.warn(&outcome),
        _ => style.bad(&outcome),
    };
    let started_at = utc(attempt.started_at);
    let mut line = format!("{}  {started_at}  {took:>6}  {outcome}", attempt.attempt);
    if let Some(status) = attempt.status {
        let _ = write!(line, "  {status}");
    }
    // The error may say the code itself.
    let error = attempt.error.as_deref().unwrap_or_default();
    if let Some(code) = attempt.code.as_deref().filter(|code| !error.contains(code)) {
        let _ = write!(line, "  {code}");
    }
    let _ = write!(line, "  {error}");
    line.trim_end().to_owned()
}
