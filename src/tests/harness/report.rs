//! What a run did, in a line to compare.

use notify_fan_out::fan_out::FanOutReport;
use serde_json::{Value, json};

/// In the order in which they are said.
const COUNTS: [&str; 19] = [
    "batches",
    "enqueued",
    "rescued",
    "events",
    "notifications",
    "merged",
    "emails",
    "deliveries",
    "suppressed",
    "failed",
    "retried",
    "released",
    "expired",
    "ignored",
    "expired_unhandled",
    "lost_claims",
    "unhandled_types",
    "stopped_early",
    "left",
];

/// The counts of a report that are not 0, such as `events=2 notifications=1`. One batch is no news.
pub(crate) fn summary(report: &Value) -> String {
    let nothing = [json!(null), json!(0), json!(false), json!([]), json!({})];
    let counts = COUNTS.iter().map(|name| (*name, &report[*name]));
    let words = counts.filter(|(name, count)| {
        let is_one_batch = *name == "batches" && **count == 1;
        !is_one_batch && !nothing.contains(count)
    });
    let words: Vec<_> = words
        .map(|(name, count)| format!("{name}={count}"))
        .collect();
    words.join(" ")
}

pub(crate) trait Summary {
    fn summary(&self) -> String;
}

impl Summary for FanOutReport {
    fn summary(&self) -> String {
        summary(&json!(self))
    }
}
