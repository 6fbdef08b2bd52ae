//! The last line of a run of `deliver`.

use super::super::output;
use super::super::words::counted;
use crate::config::{Format, LogFormat};
use crate::delivery::{DeliveryReport, Settings, Waiting};

/// Prints what the run did: one line, `Delivery completed` and the counts, or `Delivery stopped`
/// where it failed; JSON on request. A log in JSON gets the same as an entry of its own.
pub(super) fn print(
    report: &DeliveryReport,
    seconds: f64,
    failed: bool,
    settings: &Settings,
    format: Format,
    log: LogFormat,
) -> std::io::Result<()> {
    if log == LogFormat::Json {
        tracing::info!(
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
            ending(failed),
        );
    }
    match format {
        Format::Json => output::json(&Document {
            seconds,
            completed: !failed,
            report,
        }),
        Format::Text => {
            let mut lines = notes(report, failed, settings);
            lines.push(line(report, seconds, failed));
            output::text(&lines.join("\n"))
        }
    }
}

#[derive(serde::Serialize)]
struct Document<'a> {
    seconds: f64,
    completed: bool,
    #[serde(flatten)]
    report: &'a DeliveryReport,
}

fn ending(failed: bool) -> &'static str {
    if failed { "stopped" } else { "completed" }
}

/// What a reader of the summary may want to know or do.
fn notes(report: &DeliveryReport, failed: bool, settings: &Settings) -> Vec<String> {
    let mut notes = Vec::new();
    if report.is_idle() && report.waiting == Waiting::default() && !failed {
        notes.push("Nothing is due.".to_owned());
    }
    for (waiting, one, many, variables) in [
        (
            report.waiting.mails,
            "mail waits",
            "mails wait",
            "NOTIFY_SMTP_URL, NOTIFICATIONS_RESEND_API_KEY or NOTIFY_SENDGRID_API_KEY",
        ),
        (
            report.waiting.texts,
            "text message waits",
            "text messages wait",
            "NOTIFY_TWILIO_ACCOUNT_SID",
        ),
    ] {
        if waiting > 0 {
            let waits = counted(waiting, one, many);
            notes.push(format!(
                "{waits}: nothing that carries them is configured ({variables})"
            ));
        }
    }
    for disabled in &report.disabled {
        notes.push(format!("Disabled {}: {}", disabled.target, disabled.reason));
    }
    if report.dead + report.uncertain > 0 {
        notes.push("Why, and again: notify-fan-out dead-letters --help".to_owned());
    } else if report.retried > 0 {
        notes.push("What is retried comes back by itself; see notify-fan-out status".to_owned());
    } else if report.stopped_early && settings.limit.is_none() {
        notes.push("More may be due: the next run goes on".to_owned());
    }
    notes
}

fn line(report: &DeliveryReport, seconds: f64, failed: bool) -> String {
    format!(
        "Delivery {} seconds={seconds:.3} delivered={} retried={} dead={} uncertain={} cancelled={} \
         mails={} digests={} rescued={}",
        ending(failed),
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
    use crate::config::{DeliverFlags, Source};

    #[test]
    fn one_line_carries_every_count() {
        let settings = Source(&|_| None)
            .delivery_settings(&DeliverFlags::default(), String::new())
            .expect("settings");
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
            ..DeliveryReport::default()
        };
        insta::assert_snapshot!(line(&report, 0.4126, false), @"Delivery completed seconds=0.413 delivered=7 retried=2 dead=1 uncertain=0 cancelled=3 mails=5 digests=1 rescued=0");
        insta::assert_snapshot!(notes(&report, false, &settings).join("\n"), @"
        1,200 mails wait: nothing that carries them is configured (NOTIFY_SMTP_URL, NOTIFICATIONS_RESEND_API_KEY or NOTIFY_SENDGRID_API_KEY)
        1 text message waits: nothing that carries them is configured (NOTIFY_TWILIO_ACCOUNT_SID)
        Why, and again: notify-fan-out dead-letters --help
        ");
        insta::assert_snapshot!(notes(&DeliveryReport::default(), false, &settings).join("\n"), @"Nothing is due.");
    }
}
