//! `dead-letters show`.

use std::fmt;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::cli::output::Style;
use crate::cli::{ExitStatus, Failure, attempts, connect, database_failure, output};
use crate::config::{Config, Format};
use crate::ops::dead_letters::{Delivery, Details, show};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The delivery, by its number; it need not be a dead letter
    #[arg(value_name = "ID")]
    id: i64,
}

pub(super) async fn execute(
    arguments: &Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let database = config.database()?;
    let mut session = connect(&database).await?;
    let details = show(&mut session, arguments.id)
        .await
        .map_err(|error| database_failure(&database, error))?
        .ok_or_else(|| Failure::Refused(format!("there is no delivery {}", arguments.id)))?;
    output::emit(&details, format)?;
    Ok(ExitStatus::Success)
}

impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (details, style) = (self, Style::of(f));
        let delivery = &self.delivery;
        let title = format!("delivery {}  {}", delivery.id, delivery.event_type);
        writeln!(f, "{}", style.bold(&title))?;
        for (label, value) in lines(delivery, style) {
            writeln!(f, "  {label:<9} {value}")?;
        }
        if let Some(message) = &details.message {
            writeln!(f, "\n{}", style.bold(&message.title))?;
            for line in message.text.lines() {
                writeln!(f, "  {line}")?;
            }
            for field in &message.fields {
                writeln!(f, "  {}: {}", field.name, field.value)?;
            }
            if let Some(link) = &message.link_url {
                writeln!(f, "  {link}")?;
            }
        }
        if !details.emails.is_empty() {
            writeln!(f, "\nE-mails in it:")?;
            for mail in &details.emails {
                write!(
                    f,
                    "  {} ({}, event {}, {})",
                    mail.subject, mail.event_type, mail.event_id, mail.status
                )?;
                match &mail.status_reason {
                    Some(reason) => writeln!(f, ": {reason}"),
                    None => writeln!(f),
                }?;
            }
        }
        f.write_str(if details.attempts.is_empty() {
            "\nNothing was attempted.\n"
        } else {
            "\nAttempts:\n"
        })?;
        attempts::write(f, &details.attempts, "  ", true, style)
    }
}

/// What is known of it, with a word in front of each.
fn lines(delivery: &Delivery, style: Style) -> Vec<(&'static str, String)> {
    let status = match (delivery.status.as_str(), delivery.finished_at) {
        ("pending", _) => format!("pending, due {}", time(delivery.next_attempt_at)),
        ("delivered", Some(at)) => format!("{} {}", style.good("delivered"), time(at)),
        (status @ ("dead" | "uncertain"), Some(at)) => {
            format!("{} {}", style.bad(status), time(at))
        }
        (status, Some(at)) => format!("{status} {}", time(at)),
        (status, None) => status.to_owned(),
    };
    let to = match delivery.endpoint_is_enabled {
        Some(false) => format!("{}, {}", delivery.to, style.bad("which is disabled")),
        _ => delivery.to.clone(),
    };
    let event = match (delivery.event_id, delivery.digest_window) {
        (Some(event), _) => format!("{event}, of {}", time(delivery.occurred_at)),
        (None, Some(window)) => format!("a digest, for the window from {}", time(window)),
        (None, None) => "none".to_owned(),
    };
    let mut lines = vec![
        ("status", status),
        ("channel", delivery.channel.clone()),
        ("to", to),
        ("recipient", delivery.recipient.clone()),
        ("target", delivery.target.clone()),
        ("event", event),
        ("queued", time(delivery.created_at)),
        ("key", delivery.key.to_string()),
    ];
    let mut also = |label, value: Option<String>| lines.extend(value.map(|value| (label, value)));
    also(
        "reason",
        delivery.reason.as_ref().map(|reason| style.bad(reason)),
    );
    also("code", delivery.code.clone());
    also("provider", delivery.provider_id.clone());
    let leased = delivery.lease_until.map(|until| {
        let by = delivery.leased_by.as_deref().unwrap_or("somebody");
        format!("by {by} until {}", time(until))
    });
    also("leased", leased.filter(|_| delivery.status == "sending"));
    lines
}

fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
