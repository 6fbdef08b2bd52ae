//! `dead-letters show`.

use std::fmt;

use clap::Args;

use crate::cli::human::utc;
use crate::cli::output::Style;
use crate::cli::{Exit, ExitStatus, Failure, connect, database_failure, history, output};
use crate::config::{Config, Format};
use crate::ops::dead_letters::{Delivery, Details, show};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The delivery, by its number; it need not be a dead letter
    #[arg(value_name = "ID")]
    id: i64,
}

pub(super) async fn execute(arguments: &Arguments, config: &Config, format: Format) -> Exit {
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
        let style = Style::of(f);
        let delivery = &self.delivery;
        let title = format!("delivery {}  {}", delivery.id, delivery.event_type);
        writeln!(f, "{}", style.bold(&title))?;
        for (label, value) in lines(delivery, style) {
            writeln!(f, "  {label:<9} {value}")?;
        }
        if let Some(message) = &self.message {
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
        if !self.emails.is_empty() {
            writeln!(f, "\nE-mails in it:")?;
            for mail in &self.emails {
                let reason = mail.status_reason.as_ref();
                let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
                writeln!(
                    f,
                    "  {} ({}, event {}, {}){reason}",
                    mail.subject, mail.event_type, mail.event_id, mail.status
                )?;
            }
        }
        f.write_str(if self.attempts.is_empty() {
            "\nNothing was attempted.\n"
        } else {
            "\nAttempts:\n"
        })?;
        history::write_attempts(f, &self.attempts, style)
    }
}

/// What is known of it, with a word in front of each.
fn lines(delivery: &Delivery, style: Style) -> Vec<(&'static str, String)> {
    let status = match (delivery.status.as_str(), delivery.finished_at) {
        ("pending", _) => format!("pending, due {}", utc(delivery.next_attempt_at)),
        ("delivered", Some(at)) => format!("{} {}", style.good("delivered"), utc(at)),
        (status @ ("dead" | "uncertain"), Some(at)) => {
            format!("{} {}", style.bad(status), utc(at))
        }
        (status, Some(at)) => format!("{status} {}", utc(at)),
        (status, None) => status.to_owned(),
    };
    let to = match delivery.endpoint_is_enabled {
        Some(false) => format!("{}, {}", delivery.to, style.bad("which is disabled")),
        _ => delivery.to.clone(),
    };
    let event = match (delivery.event_id, delivery.digest_window) {
        (Some(event), _) => format!("{event}, of {}", utc(delivery.occurred_at)),
        (None, Some(window)) => format!("a digest, for the window from {}", utc(window)),
        (None, None) => "none".to_owned(),
    };
    let mut lines = vec![
        ("status", status),
        ("channel", delivery.channel.clone()),
        ("to", to),
        ("recipient", delivery.recipient.clone()),
        ("target", delivery.target.clone()),
        ("event", event),
        ("queued", utc(delivery.created_at)),
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
        format!("by {by} until {}", utc(until))
    });
    also("leased", leased.filter(|_| delivery.status == "sending"));
    lines
}
