//! `endpoint test`: a message by the very code that sends the real ones.

use std::fmt::Write as _;
use std::time::Instant;

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::Desk;
use crate::channels::{Blame, Receipt, Transport, Verdict};
use crate::cli::output;
use crate::cli::words::time;
use crate::cli::{ExitStatus, Failure};
use crate::config::{Format, Source};
use crate::db::{Access, Unnamed};
use crate::domain::announcement::{Field, Told};
use crate::endpoints::{Destination, NotSent, Parcel, store};

/// What a webhook is told as the type.
const EVENT_TYPE: &str = "endpoint_test";

#[derive(Debug, Args)]
#[command(after_help = "\
The message is sent at once, once, by what sends the real ones: the same addresses are
permitted, the same limits kept, the same secrets signed with. A disabled endpoint is
tried too. Exit code 0 if it was taken, 6 if not.")]
pub(super) struct Arguments {
    /// The endpoint, or env:slack and the like
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
    #[serde(skip)]
    advice: Option<&'static str>,
}

pub(super) async fn execute(
    arguments: &Arguments,
    source: &Source<'_>,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let name = arguments.name.as_str();
    let post = source.post()?;
    let (routes, seal) = (&post.routes, &post.seal);
    let mut desk = Desk::open(source).await?;
    let (now, stored) = desk
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
            .destination(seal)
            .map_err(|error| Failure::Refused(format!("{name}: {error}")))?,
        (None, None) => return Err(desk.unknown(name, routes).await?),
    };
    // No transaction is open from here on.
    let ways = post.ways();
    let told = told(name, &destination);
    let parcel = Parcel {
        key: Uuid::new_v4().into(),
        event_type: EVENT_TYPE,
        occurred_at: now,
        told: &told,
    };
    let begun = Instant::now();
    let sent = ways.send(&destination, &parcel, now).await;
    let seconds = begun.elapsed().as_secs_f64();
    let is_sent = sent.is_ok();
    let trial = trial(
        name,
        &destination,
        ways.transport(&destination),
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

fn told(name: &str, destination: &Destination) -> Told {
    let channel = destination.kind().name();
    let field = |name: &str, value: &str| Field {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    Told {
        title: "Test message of notify-fan-out".to_owned(),
        text: "Somebody wanted to see whether messages arrive here. They do.".to_owned(),
        fields: vec![field("Endpoint", name), field("Channel", channel)],
        link_url: Some("/".to_owned()),
        data: json!({ "endpoint": name, "channel": channel })
            .as_object()
            .cloned()
            .unwrap_or_default(),
        ..Told::default()
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
            let (outcome, advice) = decided(error.verdict);
            Trial {
                outcome,
                status: error.status,
                code: error.code,
                error: Some(error.reason),
                answer: error.answer,
                advice: Some(advice),
                ..nothing
            }
        }
        Err(error @ (NotSent::NoWay(_) | NotSent::NoWords(_))) => Trial {
            error: Some(error.to_string()),
            ..nothing
        },
    }
}

/// What a delivery would do with such an answer.
fn decided(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Retry { .. } => ("retry", "a delivery would be tried again later"),
        Verdict::Permanent {
            blame: Blame::Message,
        } => (
            "permanent",
            "a delivery would be given up: this message or its recipient is not taken",
        ),
        Verdict::Permanent {
            blame: Blame::Settings,
        } => (
            "permanent",
            "a delivery would be given up: mend address, credentials or account",
        ),
        Verdict::Permanent { blame: Blame::Gone } => (
            "permanent",
            "a delivery would disable the endpoint: what it leads to is no more",
        ),
        Verdict::Uncertain => ("uncertain", "it may have arrived; look there"),
    }
}

fn in_words(trial: &Trial) -> String {
    let Trial {
        name,
        channel,
        target,
        ..
    } = trial;
    let took = time(trial.seconds);
    let whom = format!("{name} ({channel}, {target})");
    let mut words = match (&trial.error, trial.status) {
        (None, Some(status)) => format!("Delivered to {whom} in {took}: status {status}.\n"),
        (None, None) => format!("Delivered to {whom} in {took}.\n"),
        (Some(error), _) => format!("Not delivered to {whom} in {took}: {error}\n"),
    };
    let answer = trial.answer.as_deref().map(str::trim).unwrap_or_default();
    if !answer.is_empty() {
        let _ = writeln!(words, "It answered: {answer}");
    }
    if let Some(advice) = trial.advice {
        let _ = writeln!(words, "→ {advice}");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::{Kind, SendError};

    fn words(sent: Result<Receipt, NotSent>) -> String {
        let slack = Destination::of(Kind::Slack, "https://hooks.slack.com/Hidden");
        let slack = slack.expect("an address");
        in_words(&trial("ops", &slack, Some(Transport::Slack), sent, 0.21))
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
            ..SendError::permanent(Blame::Gone, "slack answered 404: no_service")
        };
        insta::assert_snapshot!(words(Err(gone.into())), @"
        Not delivered to ops (slack, https://hooks.slack.com/…) in 0.2s: slack answered 404: no_service
        It answered: no_service
        → a delivery would disable the endpoint: what it leads to is no more
        ");
        insta::assert_snapshot!(words(Err(NotSent::NoWay("mails"))), @"Not delivered to ops (slack, https://hooks.slack.com/…) in 0.2s: nothing that carries mails is configured");
    }
}
