//! `unsubscribe`: applies a token that came with an e-mail.

use clap::Args;
use serde_json::json;

use super::{ExitStatus, Failure, connect, grant_failure, output, wiring};
use crate::config::{Config, Format};
use crate::unsubscribe::{Outcome, Request, Scope, apply};

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

pub(super) async fn execute(
    arguments: Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
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
    match format {
        Format::Json => output::json(&json!({
            "user_id": request.user_id,
            "event_type": request.scope.as_str(),
            "outcome": outcome,
        }))?,
        Format::Text => output::text(&in_words(&request, outcome))?,
    }
    Ok(ExitStatus::Success)
}

fn in_words(request: &Request, outcome: Outcome) -> String {
    let who = request.user_id;
    let mails = match &request.scope {
        Scope::All => "e-mails".to_owned(),
        Scope::EventType(event_type) => format!("e-mails of {event_type}"),
    };
    match outcome {
        Outcome::Unsubscribed => format!("Unsubscribed: {who} gets no more {mails}."),
        Outcome::AlreadyUnsubscribed => format!("Nothing to do: {who} gets no {mails} already."),
        Outcome::NoSuchPerson => format!("Nothing to do: there is no {who} any more."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_who_and_what() {
        let told = |scope: &str, outcome| {
            let request = Request {
                user_id: uuid::Uuid::from_u128(7),
                scope: scope.into(),
            };
            in_words(&request, outcome)
        };
        insta::assert_snapshot!(told("document_uploaded", Outcome::Unsubscribed), @"Unsubscribed: 00000000-0000-0000-0000-000000000007 gets no more e-mails of document_uploaded.");
        insta::assert_snapshot!(told("*", Outcome::AlreadyUnsubscribed), @"Nothing to do: 00000000-0000-0000-0000-000000000007 gets no e-mails already.");
        insta::assert_snapshot!(told("*", Outcome::NoSuchPerson), @"Nothing to do: there is no 00000000-0000-0000-0000-000000000007 any more.");
    }
}
