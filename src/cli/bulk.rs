//! What `retry`, `discard` and `dead-letters` say of rows that they left as they were.

use std::fmt;

use super::human::count;

/// Ids that are named one by one, for each reason; JSON has them all.
const MOST_NAMED: usize = 20;

/// A line for each reason. `rows` are ids and why each was left.
pub(super) fn left_out<'a>(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    rows: impl Iterator<Item = (i64, &'a str)>,
) -> fmt::Result {
    let mut by_reason: Vec<(&str, Vec<String>)> = Vec::new();
    for (id, reason) in rows {
        match by_reason.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, ids)) => ids.push(id.to_string()),
            None => by_reason.push((reason, vec![id.to_string()])),
        }
    }
    for (reason, mut ids) in by_reason {
        let more = ids.len().saturating_sub(MOST_NAMED);
        ids.truncate(MOST_NAMED);
        if more > 0 {
            ids.push(format!("and {} more", count(more as u64)));
        }
        writeln!(f, "{what}: {} ({reason})", ids.join(", "))?;
    }
    Ok(())
}
