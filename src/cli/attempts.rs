//! Attempts as text, a line each.

use std::fmt::{self, Write as _};

use super::human::time;
use super::output::Style;
use crate::ops::attempts::Attempt;

/// Writes them, each line behind `indent`; with what was answered below, if `answers`.
pub(super) fn write(
    f: &mut impl fmt::Write,
    attempts: &[Attempt],
    indent: &str,
    answers: bool,
    style: Style,
) -> fmt::Result {
    for attempt in attempts {
        writeln!(f, "{indent}{}", line(attempt, style))?;
        if let Some(answer) = attempt.answer.as_deref().filter(|_| answers) {
            for line in answer.lines().filter(|line| !line.trim().is_empty()) {
                writeln!(f, "{indent}  {}", style.dim(&format!("│ {line}")))?;
            }
        }
    }
    Ok(())
}

fn line(attempt: &Attempt, style: Style) -> String {
    let took = attempt
        .duration_ms
        .map_or_else(|| "?".to_owned(), |ms| time(f64::from(ms) / 1_000.0));
    let outcome = format!("{:<9}", attempt.outcome);
    let outcome = match attempt.outcome.as_str() {
        "delivered" => style.good(&outcome),
        "retry" | "uncertain" => style.warn(&outcome),
        _ => style.bad(&outcome),
    };
    let mut line = format!(
        "{}  {}  {took:>6}  {outcome}",
        attempt.attempt,
        attempt.started_at.format("%Y-%m-%d %H:%M:%S UTC"),
    );
    if let Some(status) = attempt.status {
        let _ = write!(line, "  {status}");
    }
    // The error may say the code itself.
    let error = attempt.error.as_deref().unwrap_or_default();
    if let Some(code) = attempt.code.as_deref().filter(|code| !error.contains(code)) {
        let _ = write!(line, "  {code}");
    }
    if !error.is_empty() {
        let _ = write!(line, "  {error}");
    }
    line.trim_end().to_owned()
}
