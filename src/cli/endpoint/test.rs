//! `endpoint test`: a message by the very code that sends the real ones.

use std::fmt;
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::{Db, Named, PERMITTING};
use crate::channels::{
    AttemptOutcome, Cause, Channel, Destination, EndpointMessage, NOT_PERMITTED, NotSent, Receipt,
    SendError,
};
use crate::cli::human::time;
use crate::cli::{Exit, ExitStatus, Failure, output, wiring};
use crate::config::{Config, Format};
use crate::db::{Access, Unnamed};
use crate::domain::announcement::{Field, Message};
use crate::endpoints::store;

/// The `type` of a webhook.
const EVENT_TYPE: &str = "endpoint_test";

pub(super) async fn execute(endpoint: Named, config: &Config, format: Format) -> Exit {
    let sender = wiring::sender(config)?;
    let (routes, encryption) = (&sender.routes, &sender.encryption);
    let mut db = Db::open(config).await?;
    let name = &*db.name(&endpoint.name).await?;
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
    let transports = sender.transports();
    let message = EndpointMessage {
        key: Uuid::new_v4().to_string(),
        event_type: EVENT_TYPE,
        occurred_at: now,
        message: &content(name, destination.channel()),
    };
    let begun = Instant::now();
    let sent = destination.send(&transports, &message, now).await;
    let status = match &sent {
        Ok(_) => ExitStatus::Success,
        Err(_) => ExitStatus::CheckFailed,
    };
    let trial = Trial {
        transport: transports.name(destination.channel()),
        seconds: begun.elapsed().as_secs_f64(),
        ..Trial::new(name, &destination, sent)
    };
    output::emit(&trial, format)?;
    Ok(status)
}

fn content(name: &str, channel: Channel) -> Message {
    let channel = channel.name();
    let field = |name: &str, value: &str| Field {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    Message {
        title: "Test message of notify-fan-out".to_owned(),
        text: "An operator sent this to check that messages arrive here.".to_owned(),
        fields: vec![field("Endpoint", name), field("Channel", channel)],
        link_url: Some("/".to_owned()),
        data: json!({ "endpoint": name, "channel": channel })
            .as_object()
            .cloned()
            .unwrap_or_default(),
        ..Message::default()
    }
}

/// What came of it.
#[derive(Default, Serialize)]
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

impl Trial {
    fn new(name: &str, destination: &Destination, sent: Result<Receipt, NotSent>) -> Self {
        let channel = destination.channel();
        let trial = Self {
            name: name.to_owned(),
            channel: channel.name(),
            target: destination.to_string(),
            ..Self::default()
        };
        match sent {
            Ok(receipt) => Self {
                outcome: "delivered",
                status: Some(receipt.status),
                answer: Some(receipt.answer),
                is_tried: true,
                ..trial
            },
            Err(NotSent::Failed(error)) => {
                let (outcome, advice) = decision(channel, &error);
                Self {
                    outcome,
                    is_tried: !is_permittable(&error),
                    status: error.status,
                    code: error.code,
                    error: Some(error.reason),
                    answer: error.answer,
                    advice: Some(advice),
                    ..trial
                }
            }
            Err(error) => Self {
                outcome: "not_tried",
                error: Some(error.to_string()),
                ..trial
            },
        }
    }
}

fn is_permittable(error: &SendError) -> bool {
    error.code.as_deref() == Some(NOT_PERMITTED)
}

/// The outcome of the attempt, and what a real delivery would do after it.
fn decision(channel: Channel, error: &SendError) -> (&'static str, String) {
    let cause = match error.outcome {
        AttemptOutcome::Permanent { cause } => cause,
        AttemptOutcome::Retry { .. } | AttemptOutcome::Throttled { .. } => Cause::Policy,
        AttemptOutcome::Uncertain => {
            return ("uncertain", "it may have arrived; check there".to_owned());
        }
    };
    let fix = |what: &str| {
        if is_permittable(error) {
            format!("fix the address, or permit it: {PERMITTING}")
        } else {
            format!("fix {what}")
        }
    };
    let advice = match cause {
        Cause::Policy => return ("retry", "a real delivery would be retried later".to_owned()),
        Cause::Recipient | Cause::Message => {
            "a real delivery would become a dead letter: the message or its recipient was refused"
                .to_owned()
        }
        // The account is the same for all messages, so none of them is the cause.
        Cause::Settings | Cause::Gone if channel.is_shared() => format!(
            "a real delivery would wait, like all other {}: {}",
            channel.spec().messages,
            fix("the address, credentials or sender")
        ),
        Cause::Settings => format!(
            "a real delivery would become a dead letter: {}",
            fix("the address, credentials or account")
        ),
        Cause::Gone => {
            let status = error.status.map(|status| format!(" ({status})"));
            format!(
                "a real delivery would disable this endpoint: the target no longer exists{}",
                status.unwrap_or_default()
            )
        }
    };
    ("permanent", advice)
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = if self.is_tried {
            format!(" in {}", time(self.seconds))
        } else {
            String::new()
        };
        let to = format!("{} ({}, {}){took}", self.name, self.channel, self.target);
        match (&self.error, self.status) {
            (None, Some(status)) => writeln!(f, "Delivered to {to}: status {status}.")?,
            (None, None) => writeln!(f, "Delivered to {to}.")?,
            (Some(error), _) => writeln!(f, "Not delivered to {to}: {error}")?,
        }
        let answer = self.answer.as_deref().map(str::trim).unwrap_or_default();
        if !answer.is_empty() {
            writeln!(f, "It answered: {answer}")?;
        }
        if let Some(advice) = &self.advice {
            writeln!(f, "→ {advice}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(channel: Channel, to: &str, sent: Result<Receipt, NotSent>) -> String {
        let destination = Destination::of(channel, to).expect("a destination");
        Trial::new("ops", &destination, sent).to_string()
    }

    #[test]
    fn says_what_came_of_it() {
        let slack = |sent| text(Channel::Slack, "https://hooks.slack.com/Hidden", sent);
        let receipt = Receipt {
            status: 200,
            answer: "ok".to_owned(),
            provider_id: None,
        };
        insta::assert_snapshot!(slack(Ok(receipt)), @"
        Delivered to ops (slack, https://hooks.slack.com/…) in 0s: status 200.
        It answered: ok
        ");
        let gone = SendError {
            status: Some(404),
            answer: Some("no_service".to_owned()),
            ..SendError::permanent(Cause::Gone, "slack answered 404: no_service")
        };
        insta::assert_snapshot!(slack(Err(gone.into())), @"
        Not delivered to ops (slack, https://hooks.slack.com/…) in 0s: slack answered 404: no_service
        It answered: no_service
        → a real delivery would disable this endpoint: the target no longer exists (404)
        ");
        let refused = SendError {
            code: Some(NOT_PERMITTED.to_owned()),
            ..SendError::permanent(Cause::Settings, "127.0.0.1 is a loopback address")
        };
        insta::assert_snapshot!(slack(Err(refused.into())), @"
        Not delivered to ops (slack, https://hooks.slack.com/…): 127.0.0.1 is a loopback address
        → a real delivery would become a dead letter: fix the address, or permit it: NOTIFY_OUTGOING_ALLOW, NOTIFY_OUTGOING_PLAIN_HTTP
        ");
    }

    /// As `deliver` decides it: what all text messages go through is not one receiver.
    #[test]
    fn wrong_settings_make_a_shared_channel_wait() {
        let sms = |sent| text(Channel::Sms, "+4915112345678", Err(sent));
        insta::assert_snapshot!(sms(NotSent::NoTransport(Channel::Sms)), @"Not delivered to ops (sms, +49…78): no transport for text messages is configured (set NOTIFY_TWILIO_ACCOUNT_SID, NOTIFY_TWILIO_AUTH_TOKEN and NOTIFY_TWILIO_FROM)");
        let wrong = SendError::permanent(Cause::Settings, "it answered 401");
        insta::assert_snapshot!(sms(wrong.into()), @"
        Not delivered to ops (sms, +49…78) in 0s: it answered 401
        → a real delivery would wait, like all other text messages: fix the address, credentials or sender
        ");
    }
}
