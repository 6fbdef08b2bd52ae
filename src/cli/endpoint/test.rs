//! `endpoint test`: a message by the very code that sends the real ones.

use std::fmt::Write as _;
use std::time::Instant;

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::{Db, PERMITTING};
use crate::channels::{AttemptOutcome, Cause, Kind, NOT_PERMITTED, Receipt, SendError, Transport};
use crate::cli::human::time;
use crate::cli::output;
use crate::cli::{ExitStatus, Failure};
use crate::config::{Config, Format};
use crate::db::{Access, Unnamed};
use crate::domain::announcement::{Field, Message};
use crate::endpoints::{Destination, EndpointMessage, NotSent, store};

/// What a webhook is told as the type.
const EVENT_TYPE: &str = "endpoint_test";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out endpoint test ops
  notify-fan-out endpoint test env:slack

The message is sent at once, once, by what sends the real ones: the same addresses are
permitted, the same limits kept, the same secrets signed with. A disabled endpoint is
tried too. Exit code 0 if it was taken, 6 if not.")]
pub(super) struct Arguments {
    /// The endpoint, by name or id, or env:slack and the like
    #[arg(value_name = "NAME")]
    name: String,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Trial {
    name: String,
    channel: &'static str,
    target: String,
    transport: Option<&'static str>,
    outcome: &'static str,
    status: Option<u16>,
    code: Option<String>,
    error: Option<String>,
    answer: Option<String>,
    seconds: f64,
    /// Whether anything was sent, or was about to be.
    #[serde(skip)]
    is_tried: bool,
    #[serde(skip)]
    advice: Option<String>,
}

pub(super) async fn execute(
    arguments: &Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let post = crate::cli::wiring::post(config)?;
    let (routes, encryption) = (&post.routes, &post.encryption);
    let mut db = Db::open(config).await?;
    let name = &*db.name(&arguments.name).await?;
    let (now, stored) = db
        .transact(Access::ReadOnly, async |connection| {
            let now: DateTime<Utc> = sqlx::query_scalar("SELECT now()")
                .fetch_one(Unnamed(connection))
                .await?;
            Ok((now, store::find(connection, name).await?))
        })
        .await?;
    let destination = match (routes.get(name), stored) {
        (Some(route), _) => route.destination.clone().ok_or_else(|| {
            Failure::Refused(format!("{name} is switched off in the environment"))
        })?,
        (None, Some(stored)) => stored
            .destination(encryption)
            .map_err(|error| Failure::Refused(format!("{name}: {error}")))?,
        (None, None) => return Err(db.unknown(name, routes).await?),
    };
    // No transaction is open from here on.
    let transports = post.transports();
    let told = told(name, &destination);
    let message = EndpointMessage {
        key: Uuid::new_v4().into(),
        event_type: EVENT_TYPE,
        occurred_at: now,
        told: &told,
    };
    let begun = Instant::now();
    let sent = transports.send(&destination, &message, now).await;
    let seconds = begun.elapsed().as_secs_f64();
    let is_sent = sent.is_ok();
    let trial = trial(
        name,
        &destination,
        transports.transport(&destination),
        sent,
        seconds,
    );
    match format {
        Format::Json => output::json(&trial)?,
        Format::Text => output::text(&in_words(&trial))?,
    }
    Ok(if is_sent {
        ExitStatus::Success
    } else {
        ExitStatus::CheckFailed
    })
}

fn told(name: &str, destination: &Destination) -> Message {
    let channel = destination.kind().name();
    let field = |name: &str, value: &str| Field {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    Message {
        title: "Test message of notify-fan-out".to_owned(),
        text: "Somebody wanted to see whether messages arrive here. They do.".to_owned(),
        fields: vec![field("Endpoint", name), field("Channel", channel)],
        link_url: Some("/".to_owned()),
        data: json!({ "endpoint": name, "channel": channel })
            .as_object()
            .cloned()
            .unwrap_or_default(),
        ..Message::default()
    }
}

fn trial(
    name: &str,
    destination: &Destination,
    transport: Option<Transport>,
    sent: Result<Receipt, NotSent>,
    seconds: f64,
) -> Trial {
    let nothing = Trial {
        name: name.to_owned(),
        channel: destination.kind().name(),
        target: destination.to_string(),
        transport: transport.map(Transport::name),
        outcome: "not_tried",
        status: None,
        code: None,
        error: None,
        answer: None,
        seconds,
        is_tried: true,
        advice: None,
    };
    match sent {
        Ok(receipt) => Trial {
            outcome: "delivered",
            status: Some(receipt.status),
            answer: Some(receipt.answer),
            ..nothing
        },
        Err(NotSent::Failed(error)) => {
            let (outcome, advice) = decided(destination.kind(), &error);
            Trial {
                outcome,
                is_tried: !is_permittable(&error),
                status: error.status,
                code: error.code,
                error: Some(error.reason),
                answer: error.answer,
                advice: Some(advice),
                ..nothing
            }
        }
        Err(error @ NotSent::NoTransport(_)) => Trial {
            is_tried: false,
            error: Some(format!("{error}{}", carriers(destination.kind()))),
            ..nothing
        },
        Err(error @ NotSent::Template(_)) => Trial {
            is_tried: false,
            error: Some(error.to_string()),
            ..nothing
        },
    }
}

/// The variables that configure what carries the messages of a channel.
fn carriers(kind: Kind) -> &'static str {
    match kind {
        Kind::Email => {
            " (NOTIFY_SMTP_URL, NOTIFICATIONS_RESEND_API_KEY or NOTIFY_SENDGRID_API_KEY)"
        }
        Kind::Sms => " (NOTIFY_TWILIO_ACCOUNT_SID)",
        Kind::Slack | Kind::Discord | Kind::Webhook => "",
    }
}

fn is_permittable(error: &SendError) -> bool {
    error.code.as_deref() == Some(NOT_PERMITTED)
}

/// What a delivery would do with such an answer.
fn decided(kind: Kind, error: &SendError) -> (&'static str, String) {
    // All messages of these channels go one way: what is wrong with it is no message's fault.
    let others = match kind {
        Kind::Email => Some("e-mails"),
        Kind::Sms => Some("text messages"),
        Kind::Slack | Kind::Discord | Kind::Webhook => None,
    };
    let (outcome, advice) = match (error.outcome, others) {
        (
            AttemptOutcome::Retry { .. }
            | AttemptOutcome::Throttled { .. }
            | AttemptOutcome::Permanent {
                cause: Cause::Policy,
            },
            _,
        ) => ("retry", "a delivery would be tried again later".to_owned()),
        (AttemptOutcome::Uncertain, _) => {
            ("uncertain", "it may have arrived; look there".to_owned())
        }
        (AttemptOutcome::Permanent { cause }, others) => {
            let advice = match (cause, others) {
                (Cause::Recipient | Cause::Message | Cause::Policy, _) => {
                    "a delivery would be given up: this message or its recipient is not taken"
                        .to_owned()
                }
                (Cause::Settings | Cause::Gone, Some(others)) => {
                    let mend = mend("address, credentials or sender", error);
                    format!("a delivery would wait, and so would all other {others}: {mend}")
                }
                (Cause::Settings, None) => {
                    let mend = mend("address, credentials or account", error);
                    format!("a delivery would be given up: {mend}")
                }
                (Cause::Gone, None) => {
                    "a delivery would disable the endpoint: what it leads to is no more".to_owned()
                }
            };
            ("permanent", advice)
        }
    };
    (outcome, advice)
}

/// What a person can do about settings.
fn mend(what: &str, error: &SendError) -> String {
    if is_permittable(error) {
        format!("mend the address, or permit it: {PERMITTING}")
    } else {
        format!("mend {what}")
    }
}

fn in_words(trial: &Trial) -> String {
    let Trial {
        name,
        channel,
        target,
        ..
    } = trial;
    let took = if trial.is_tried {
        format!(" in {}", time(trial.seconds))
    } else {
        String::new()
    };
    let whom = format!("{name} ({channel}, {target})");
    let mut words = match (&trial.error, trial.status) {
        (None, Some(status)) => format!("Delivered to {whom}{took}: status {status}.\n"),
        (None, None) => format!("Delivered to {whom}{took}.\n"),
        (Some(error), _) => format!("Not delivered to {whom}{took}: {error}\n"),
    };
    let answer = trial.answer.as_deref().map(str::trim).unwrap_or_default();
    if !answer.is_empty() {
        let _ = writeln!(words, "It answered: {answer}");
    }
    if let Some(advice) = &trial.advice {
        let _ = writeln!(words, "→ {advice}");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::{Kind, SendError};

    fn words(sent: Result<Receipt, NotSent>) -> String {
        words_of(Kind::Slack, "https://hooks.slack.com/Hidden", sent)
    }

    fn words_of(kind: Kind, to: &str, sent: Result<Receipt, NotSent>) -> String {
        let destination = Destination::of(kind, to).expect("a destination");
        in_words(&trial("ops", &destination, None, sent, 0.21))
    }

    #[test]
    fn says_what_came_of_it() {
        let receipt = Receipt {
            status: 200,
            answer: "ok".to_owned(),
            provider_id: None,
        };
        insta::assert_snapshot!(words(Ok(receipt)), @"
        Delivered to ops (slack, https://hooks.slack.com/…) in 0.2s: status 200.
        It answered: ok
        ");
        let gone = SendError {
            status: Some(404),
            answer: Some("no_service".to_owned()),
            ..SendError::permanent(Cause::Gone, "slack answered 404: no_service")
        };
        insta::assert_snapshot!(words(Err(gone.into())), @"
        Not delivered to ops (slack, https://hooks.slack.com/…) in 0.2s: slack answered 404: no_service
        It answered: no_service
        → a delivery would disable the endpoint: what it leads to is no more
        ");
    }

    #[test]
    fn says_what_has_to_be_configured() {
        let none = |kind, to, what| words_of(kind, to, Err(NotSent::NoTransport(what)));
        insta::assert_snapshot!(none(Kind::Email, "ada@example.com", "e-mails"), @"Not delivered to ops (email, a…@example.com): nothing that carries e-mails is configured (NOTIFY_SMTP_URL, NOTIFICATIONS_RESEND_API_KEY or NOTIFY_SENDGRID_API_KEY)");
        insta::assert_snapshot!(none(Kind::Sms, "+4915112345678", "text messages"), @"Not delivered to ops (sms, +49…78): nothing that carries text messages is configured (NOTIFY_TWILIO_ACCOUNT_SID)");
    }

    /// As `deliver` decides it: what all e-mails and text messages go through is not one receiver.
    #[test]
    fn wrong_settings_are_no_fault_of_the_message() {
        let wrong = |kind, to| {
            let error = SendError::permanent(Cause::Settings, "it answered 401");
            words_of(kind, to, Err(error.into()))
        };
        insta::assert_snapshot!(wrong(Kind::Email, "ada@example.com"), @"
        Not delivered to ops (email, a…@example.com) in 0.2s: it answered 401
        → a delivery would wait, and so would all other e-mails: mend address, credentials or sender
        ");
        insta::assert_snapshot!(wrong(Kind::Sms, "+4915112345678"), @"
        Not delivered to ops (sms, +49…78) in 0.2s: it answered 401
        → a delivery would wait, and so would all other text messages: mend address, credentials or sender
        ");
        insta::assert_snapshot!(wrong(Kind::Webhook, "https://example.com"), @"
        Not delivered to ops (webhook, https://example.com/…) in 0.2s: it answered 401
        → a delivery would be given up: mend address, credentials or account
        ");
        let refused = SendError {
            code: Some(NOT_PERMITTED.to_owned()),
            ..SendError::permanent(Cause::Settings, "127.0.0.1 is a loopback address")
        };
        insta::assert_snapshot!(words(Err(refused.into())), @"
        Not delivered to ops (slack, https://hooks.slack.com/…): 127.0.0.1 is a loopback address
        → a delivery would be given up: mend the address, or permit it: NOTIFY_OUTGOING_ALLOW, NOTIFY_OUTGOING_PLAIN_HTTP
        ");
    }
}
