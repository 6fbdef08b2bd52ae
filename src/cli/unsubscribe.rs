//! `unsubscribe`: applies a token that came with an e-mail.

use std::fmt;

use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use super::{Exit, Failure, connect, grant_failure, output, wiring};
use crate::config::{Config, Format};
use crate::unsubscribe::{UnsubscribeOutcome, apply};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out unsubscribe AV7tXu36EUABgAAA…
  notify-fan-out unsubscribe https://app.example.com/unsubscribe/AV7tXu36EUABgAAA…

A token says who, and which e-mails: those of one event type, or all. They are muted in
user_notification_preferences, for every project and thread; what appears in the
application stays as it is. Doing it again changes nothing. The keys are those of
NOTIFY_UNSUBSCRIBE_KEY; the role needs scripts/grants.sql -v unsubscribe=1.")]
pub(super) struct Arguments {
    /// The token at the end of an e-mail's unsubscribe address, or the whole address
    #[arg(value_name = "TOKEN")]
    token: String,
}

pub(super) async fn execute(arguments: Arguments, config: &Config, format: Format) -> Exit {
    let request = wiring::required_unsubscribe(config)?
        .read(&arguments.token)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let database = config.database()?;
    let mut session = connect(&database).await?;
    let outcome = match apply(&mut session, &request).await {
        Ok(outcome) => outcome,
        Err(error) => {
            return Err(grant_failure(&database, &mut session, error, "unsubscribe=1").await);
        }
    };
    let report = Unsubscription {
        user_id: request.user_id,
        event_type: request.scope.as_str(),
        outcome,
    };
    output::done(&report, format)
}

#[derive(Serialize)]
struct Unsubscription<'a> {
    user_id: Uuid,
    event_type: &'a str,
    outcome: UnsubscribeOutcome,
}

impl fmt::Display for Unsubscription<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user_id;
        let emails = match self.event_type {
            "*" => "e-mails".to_owned(),
            event_type => format!("e-mails of {event_type}"),
        };
        match self.outcome {
            UnsubscribeOutcome::Unsubscribed => {
                write!(f, "Unsubscribed: {user} gets no more {emails}.")
            }
            UnsubscribeOutcome::AlreadyUnsubscribed => {
                write!(f, "Nothing to do: {user} already gets no {emails}.")
            }
            UnsubscribeOutcome::NoSuchPerson => {
                write!(f, "Nothing to do: {user} no longer exists.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_who_and_what() {
        let shown = |event_type, outcome| {
            let report = Unsubscription {
                user_id: Uuid::nil(),
                event_type,
                outcome,
            };
            report.to_string()
        };
        insta::assert_snapshot!(shown("document_uploaded", UnsubscribeOutcome::Unsubscribed), @"Unsubscribed: 00000000-0000-0000-0000-000000000000 gets no more e-mails of document_uploaded.");
        insta::assert_snapshot!(shown("*", UnsubscribeOutcome::AlreadyUnsubscribed), @"Nothing to do: 00000000-0000-0000-0000-000000000000 already gets no e-mails.");
    }
}
