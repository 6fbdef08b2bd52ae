//! What a run of `deliver` says at its end.

use std::path::Path;

use crate::cli::human::{counted, time};
use crate::cli::job::JobReport;
use crate::db::Database;
use crate::delivery::{DeliveryReport, Left, Waiting};
use crate::metrics;

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
        let idle = is_idle.then_some("Nothing is due.");
        let hint = if self.has_failures() {
            Some("See why, then retry or discard: notify-fan-out dead-letters list")
        } else if self.retried > 0 {
            Some("Retries happen automatically. See: notify-fan-out status")
        } else {
            None
        };
        let left = left(self.left)
            .map(|left| format!("Ended early. Still due: {left}; the next run continues"));
        let notes = idle.map(str::to_owned).into_iter();
        let notes = notes.chain(without_transport(self.waiting));
        let notes = notes.chain(targets(self));
        let notes = notes.chain(hint.map(str::to_owned));
        notes.chain(left).collect()
    }

    async fn record(
        &self,
        file: &Path,
        database: &Database,
        seconds: f64,
        succeeded: bool,
    ) -> std::io::Result<()> {
        metrics::record_delivery(file, database, &self.counts, seconds, succeeded).await
    }

    fn has_failures(&self) -> bool {
        self.dead + self.uncertain > 0
    }
}

/// What waits because no transport is configured.
fn without_transport(waiting: Waiting) -> impl Iterator<Item = String> {
    let emails = (
        waiting.mails,
        ["e-mail is", "e-mails are"],
        "no e-mail transport is configured (set NOTIFY_SMTP_URL, NOTIFICATIONS_RESEND_API_KEY or \
         NOTIFY_SENDGRID_API_KEY)",
    );
    let texts = (
        waiting.texts,
        ["text message is", "text messages are"],
        "no SMS transport is configured (set NOTIFY_TWILIO_ACCOUNT_SID)",
    );
    let waiting = [emails, texts].into_iter().filter(|(count, ..)| *count > 0);
    waiting.map(|(count, [one, many], why)| format!("{} waiting: {why}", counted(count, one, many)))
}

/// Targets that were paused or disabled.
fn targets(report: &DeliveryReport) -> impl Iterator<Item = String> {
    let paused = report.paused.iter().map(|paused| {
        let why = paused.reason.as_ref().map(|reason| format!(" ({reason})"));
        format!(
            "{} waiting: {} is paused for another {}{}",
            counted(paused.messages, "message is", "messages are"),
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

/// What is still due, if anything.
fn left(left: Left) -> Option<String> {
    let of = |number, one, many| (number > 0).then(|| counted(number, one, many));
    let mails = of(
        left.mails,
        "e-mail without a delivery",
        "e-mails without a delivery",
    );
    let deliveries = of(left.deliveries, "delivery", "deliveries");
    let parts: Vec<_> = mails.into_iter().chain(deliveries).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{Disabled, Paused};

    #[test]
    fn report_names_what_waits_and_what_to_do() {
        let report = DeliveryReport {
            dead: 1,
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
            left: Left {
                mails: 900,
                deliveries: 1,
            },
            ..DeliveryReport::default()
        };
        insta::assert_snapshot!(report.notes(false).join("\n"), @"
        1,200 e-mails are waiting: no e-mail transport is configured (set NOTIFY_SMTP_URL, NOTIFICATIONS_RESEND_API_KEY or NOTIFY_SENDGRID_API_KEY)
        1 text message is waiting: no SMS transport is configured (set NOTIFY_TWILIO_ACCOUNT_SID)
        12 messages are waiting: email is paused for another 4m 19s (smtp answered 535 on AUTH)
        Disabled ops: slack answered 404 Not Found: no_service; 1 pending message was cancelled
        See why, then retry or discard: notify-fan-out dead-letters list
        Ended early. Still due: 900 e-mails without a delivery, 1 delivery; the next run continues
        ");
    }
}
