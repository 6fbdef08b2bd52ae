//! What a run says at its end.

use std::path::Path;

use crate::cli::human::counted;
use crate::cli::job::JobReport;
use crate::db::Database;
use crate::fan_out::{FanOutReport, MOST_COUNTED};
use crate::metrics;

impl JobReport for FanOutReport {
    const NAME: &str = "Job";
    const METRICS_VARIABLE: &str = "NOTIFY_FANOUT_METRICS_FILE";

    fn counts(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("events", self.events),
            ("notifications", self.notifications),
            ("merged", self.merged),
            ("emails", self.emails),
            ("deliveries", self.deliveries),
            ("suppressed", self.suppressed),
            ("failed", self.failed),
            ("retried", self.retried),
            ("released", self.released),
            ("rescued", self.rescued),
            ("expired", self.expired),
            ("ignored", self.ignored),
            ("expired_unhandled", self.expired_unhandled_count()),
        ]
    }

    fn progress(&self) -> String {
        format!(
            "{} events, {} notifications",
            self.events, self.notifications
        )
    }

    fn notes(&self, failed: bool) -> Vec<String> {
        let left = left(self).map(|left| format!("{left}: the next run continues"));
        let is_idle = self.is_idle() && !failed && left.is_none();
        let idle = is_idle.then(|| "Nothing is due.".to_owned());
        let hint = if self.failed > 0 {
            Some("Why: notify-fan-out status. Once fixed: notify-fan-out retry --help")
        } else if self.expired > 0 {
            Some("Events were too old: notify-fan-out status names them")
        } else if self.retried > 0 {
            Some("Retries happen automatically. See: notify-fan-out status")
        } else {
            None
        };
        let notes = [idle, left, hint.map(str::to_owned)];
        notes.into_iter().flatten().collect()
    }

    async fn record(
        &self,
        file: &Path,
        database: &Database,
        seconds: f64,
        succeeded: bool,
    ) -> std::io::Result<()> {
        metrics::record(file, database, self, seconds, succeeded).await
    }

    fn has_failures(&self) -> bool {
        self.failed + self.expired > 0
    }
}

/// What was still due when it ended early.
pub(super) fn left(report: &FanOutReport) -> Option<String> {
    let left = report.left.filter(|&left| left > 0)?;
    let more = if left >= MOST_COUNTED { " or more" } else { "" };
    Some(format!(
        "{}{more} still due",
        counted(left, "event", "events")
    ))
}

/// Says which types have no handler.
pub(super) fn warn(report: &FanOutReport) {
    if !report.unhandled_types.is_empty() {
        let types: Vec<_> = report.unhandled_types.iter().map(String::as_str).collect();
        tracing::warn!(
            types = types.join(", "),
            "events of these types wait for a binary that handles them"
        );
    }
    if !report.expired_unhandled.is_empty() {
        let types = report.expired_unhandled.keys();
        let types: Vec<_> = types.map(String::as_str).collect();
        tracing::warn!(
            events = report.expired_unhandled_count(),
            types = types.join(", "),
            "events of these types expired without a handler; types that nobody is to be notified \
             of go into NOTIFY_FANOUT_IGNORE_TYPES"
        );
    }
}
