//! The last line of a run of `deliver`.

use super::super::human::{counted, time};
use super::super::output;
use crate::config::{Format, LogFormat};
use crate::delivery::{DeliveryReport, Left, Waiting};
use crate::telemetry;

/// Prints what the run did: one line, `Delivery completed` and the counts, or `Delivery stopped`
/// where it failed; JSON on request. A log in JSON gets it as an entry instead of the line.
pub(super) fn print(
    report: &DeliveryReport,
    seconds: f64,
    failed: bool,
    format: Format,
    log: LogFormat,
) -> std::io::Result<()> {
    let notes = notes(report, failed);
    if log == LogFormat::Json {
        tracing::info!(
            target: telemetry::SUMMARY,
            note = notes.join("; "),
            seconds,
            delivered = report.delivered,
            retried = report.retried,
            dead = report.dead,
            uncertain = report.uncertain,
            cancelled = report.cancelled,
            mails = report.mails,
            digests = report.digests,
            rescued = report.rescued,
            "Delivery {}",
            output::ending(failed),
        );
    }
    match format {
        Format::Json => output::report(report, seconds, failed),
        Format::Text => output::ended(&notes, &line(report, seconds, failed)),
    }
}

/// What a reader of the summary may want to know or do.
fn notes(report: &DeliveryReport, failed: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let waits = report.waiting != Waiting::default() || !report.paused.is_empty();
    if report.is_idle() && !waits && !failed {
        notes.push("Nothing is due.".to_owned());
    }
    for (waiting, one, many, variables) in [
        (
            report.waiting.mails,
            "e-mail waits: nothing that carries it",
            "e-mails wait: nothing that carries them",
            "NOTIFY_SMTP_URL, NOTIFICATIONS_RESEND_API_KEY or NOTIFY_SENDGRID_API_KEY",
        ),
        (
            report.waiting.texts,
            "text message waits: nothing that carries it",
            "text messages wait: nothing that carries them",
            "NOTIFY_TWILIO_ACCOUNT_SID",
        ),
    ] {
        if waiting > 0 {
            let waits = counted(waiting, one, many);
            notes.push(format!("{waits} is configured ({variables})"));
        }
    }
    for paused in &report.paused {
        let waits = counted(paused.messages, "message waits", "messages wait");
        let why = paused
            .reason
            .as_deref()
            .map(|reason| format!(" ({reason})"));
        notes.push(format!(
            "{waits}: {} is paused for another {}{}",
            paused.name,
            time(paused.seconds.ceil()),
            why.unwrap_or_default(),
        ));
    }
    for disabled in &report.disabled {
        let cancelled = match disabled.cancelled {
            0 => String::new(),
            count => {
                let which = counted(
                    count,
                    "message that waited for it was",
                    "messages that waited for it were",
                );
                format!("; {which} cancelled")
            }
        };
        notes.push(format!(
            "Disabled {}: {}{cancelled}",
            disabled.name, disabled.reason
        ));
    }
    if report.dead + report.uncertain > 0 {
        notes.push("See why, then retry or discard: notify-fan-out dead-letters list".to_owned());
    } else if report.retried > 0 {
        notes.push("What is retried comes back by itself; see notify-fan-out status".to_owned());
    }
    if let Some(left) = left(report.left) {
        notes.push(format!(
            "Ended early. Still due: {left}; the next run goes on"
        ));
    }
    notes
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

fn line(report: &DeliveryReport, seconds: f64, failed: bool) -> String {
    format!(
        "Delivery {} seconds={seconds:.3} delivered={} retried={} dead={} uncertain={} cancelled={} \
         mails={} digests={} rescued={}",
        output::ending(failed),
        report.delivered,
        report.retried,
        report.dead,
        report.uncertain,
        report.cancelled,
        report.mails,
        report.digests,
        report.rescued,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
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
        insta::assert_snapshot!(line(&report, 0.4126, false), @"Delivery completed seconds=0.413 delivered=7 retried=2 dead=1 uncertain=0 cancelled=3 mails=5 digests=1 rescued=0");
        insta::assert_snapshot!(notes(&report, false).join("\n"), @"
        1,200 e-mails wait: nothing that carries them is configured (NOTIFY_SMTP_URL, NOTIFICATIONS_RESEND_API_KEY or NOTIFY_SENDGRID_API_KEY)
        1 text message waits: nothing that carries it is configured (NOTIFY_TWILIO_ACCOUNT_SID)
        12 messages wait: email is paused for another 4m 19s (smtp answered 535 on AUTH)
        Disabled ops: slack answered 404 Not Found: no_service; 1 message that waited for it was cancelled
        See why, then retry or discard: notify-fan-out dead-letters list
        Ended early. Still due: 900 e-mails without a delivery, 1 delivery; the next run goes on
        ");
        insta::assert_snapshot!(notes(&DeliveryReport::default(), false).join("\n"), @"Nothing is due.");
    }
}
