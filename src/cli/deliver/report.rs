//! What a run of `deliver` says at its end.

use std::path::Path;

use crate::cli::human::{counted, time};
use crate::cli::job::JobReport;
use crate::db::Database;
use crate::delivery::{DeliveryReport, Left, Waiting};
use crate::metrics::{self, MetricsFailed};

impl JobReport for DeliveryReport {
    const NAME: &str = "Delivery";
    const METRICS_VARIABLE: &str = "NOTIFY_DELIVERY_METRICS_FILE";

    fn counts(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("delivered", self.delivered),
            ("retried", self.retried),
            ("dead", self.dead),
            ("uncertain", self.uncertain),
            ("cancelled", self.cancelled),
            ("mails", self.mails),
            ("digests", self.digests),
            ("rescued", self.rescued),
        ]
    }

    fn progress(&self) -> String {
        format!("{} delivered", self.delivered)
    }

    fn notes(&self, failed: bool) -> Vec<String> {
        let waits = self.waiting != Waiting::default() || !self.paused.is_empty();
        let is_idle = self.is_idle() && !waits && !failed;
        let idle = is_idle.then(|| "Nothing is due.".to_owned());
        let mut notes: Vec<_> = idle.into_iter().collect();
        notes.extend(without_transport(self.waiting));
        notes.extend(targets(self));
        notes.extend(hint(self).map(str::to_owned));
        notes.extend(
            left(self.left)
                .map(|left| format!("Ended early. Still due: {left}; the next run continues")),
        );
        notes
    }

    async fn record(
        &self,
        file: &Path,
        database: &Database,
        seconds: f64,
        succeeded: bool,
    ) -> Result<(), MetricsFailed> {
        metrics::record_delivery(file, database, &self.counts, seconds, succeeded).await
    }

    fn has_failures(&self) -> bool {
        self.dead + self.uncertain > 0
    }
}

/// What waits because no transport is configured.
fn without_transport(waiting: Waiting) -> impl Iterator<Item = String> {
    let waiting = [
        (
            counted(
                waiting.mails,
                "e-mail is waiting: no e-mail",
                "e-mails are waiting: no e-mail",
            ),
            waiting.mails,
            "NOTIFY_SMTP_URL, NOTIFICATIONS_RESEND_API_KEY or NOTIFY_SENDGRID_API_KEY",
        ),
        (
            counted(
                waiting.texts,
                "text message is waiting: no SMS",
                "text messages are waiting: no SMS",
            ),
            waiting.texts,
            "NOTIFY_TWILIO_ACCOUNT_SID",
        ),
    ];
    waiting
        .into_iter()
        .filter(|(_, count, _)| *count > 0)
        .map(|(waiting, _, variables)| {
            format!("{waiting} transport is configured (set {variables})")
        })
}

/// Targets that were paused or disabled.
fn targets(report: &DeliveryReport) -> impl Iterator<Item = String> {
    let paused = report.paused.iter().map(|paused| {
        let why = paused.reason.as_ref().map(|reason| format!(" ({reason})"));
        format!(
            "{}: {} is paused for another {}{}",
            counted(
                paused.messages,
                "message is waiting",
                "messages are waiting"
            ),
            paused.name,
            time(paused.seconds.ceil()),
            why.unwrap_or_default(),
        )
    });
    let disabled = report.disabled.iter().map(|disabled| {
        let cancelled = match disabled.cancelled {
            0 => String::new(),
            1 => "; 1 pending message was cancelled".to_owned(),
            _ => format!(
                "; {} were cancelled",
                counted(disabled.cancelled, "", "pending messages")
            ),
        };
        format!("Disabled {}: {}{cancelled}", disabled.name, disabled.reason)
    });
    paused.chain(disabled)
}

fn hint(report: &DeliveryReport) -> Option<&'static str> {
    if report.has_failures() {
        Some("See why, then retry or discard: notify-fan-out dead-letters list")
    } else if report.retried > 0 {
        Some("Retries happen automatically. See: notify-fan-out status")
    } else {
        None
    }
}

/// What is still due, if anything.
fn left(left: Left) -> Option<String> {
    let mails = (left.mails > 0).then(|| {
        counted(
            left.mails,
            "e-mail without a delivery",
            "e-mails without a delivery",
        )
    });
    let deliveries =
        (left.deliveries > 0).then(|| counted(left.deliveries, "delivery", "deliveries"));
    let parts: Vec<String> = mails.into_iter().chain(deliveries).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::job;
    use crate::delivery::{Disabled, Paused};

    #[test]
    fn one_line_carries_every_count() {
        let report = DeliveryReport {
            delivered: 7,
            retried: 2,
            dead: 1,
            cancelled: 3,
            mails: 5,
            digests: 1,
            waiting: Waiting {
                mails: 1_200,
                texts: 1,
            },
            paused: vec![Paused {
                name: "email".to_owned(),
                seconds: 258.3,
                reason: Some("smtp answered 535 on AUTH".to_owned()),
                messages: 12,
            }],
            disabled: vec![Disabled {
                name: "ops".to_owned(),
                reason: "slack answered 404 Not Found: no_service".to_owned(),
                cancelled: 1,
            }],
            stopped_early: true,
            left: Left {
                mails: 900,
                deliveries: 1,
            },
            ..DeliveryReport::default()
        };
        insta::assert_snapshot!(job::line(&report.counts()), @"delivered=7 retried=2 dead=1 uncertain=0 cancelled=3 mails=5 digests=1 rescued=0");
        insta::assert_snapshot!(report.notes(false).join("\n"), @"
        1,200 e-mails are waiting: no e-mail transport is configured (set NOTIFY_SMTP_URL, NOTIFICATIONS_RESEND_API_KEY or NOTIFY_SENDGRID_API_KEY)
        1 text message is waiting: no SMS transport is configured (set NOTIFY_TWILIO_ACCOUNT_SID)
        12 messages are waiting: email is paused for another 4m 19s (smtp answered 535 on AUTH)
        Disabled ops: slack answered 404 Not Found: no_service; 1 pending message was cancelled
        See why, then retry or discard: notify-fan-out dead-letters list
        Ended early. Still due: 900 e-mails without a delivery, 1 delivery; the next run continues
        ");
        insta::assert_snapshot!(DeliveryReport::default().notes(false).join("\n"), @"Nothing is due.");
    }
}
