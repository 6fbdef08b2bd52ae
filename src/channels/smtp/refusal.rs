//! A step of the dialogue that failed, and what that means.

use std::error::Error as _;
use std::fmt;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::response::Response;

use crate::channels::{AttemptOutcome, Cause};

/// How far the dialogue had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum Step {
    Connect,
    Encrypt,
    Authenticate,
    Sender,
    Recipient,
    Content,
    End,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "on connecting",
            Self::Encrypt => "on STARTTLS",
            Self::Authenticate => "on AUTH",
            Self::Sender => "on MAIL FROM",
            Self::Recipient => "on RCPT TO",
            Self::Content => "on DATA",
            Self::End => "after the end of the mail",
        })
    }
}

/// A step that failed.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) step: Step,
    /// The server's answer, if it refused.
    pub(super) status: Option<u16>,
    pub(super) text: String,
    /// This side ended it: the server lacks something.
    ours: bool,
}

impl Refusal {
    pub(super) fn at(step: Step) -> impl Fn(Error) -> Self {
        move |error| Self {
            step,
            status: error.status().map(u16::from),
            text: match error.source() {
                Some(source) => source.to_string(),
                None => error.to_string(),
            },
            ours: error.is_client(),
        }
    }

    pub(super) fn lost(step: Step) -> impl Fn(std::io::Error) -> Self {
        move |error| Self {
            step,
            status: None,
            text: error.to_string(),
            ours: false,
        }
    }

    pub(super) fn answered(step: Step, response: &Response) -> Self {
        Self {
            step,
            status: Some(response.code().into()),
            text: text_of(response),
            ours: false,
        }
    }

    pub(super) fn lacking(step: Step, text: &str) -> Self {
        Self {
            step,
            status: None,
            text: text.to_owned(),
            ours: true,
        }
    }

    /// Whether the connection had been closed before it was of any use for the mail.
    pub(super) fn is_stale(&self) -> bool {
        let closed = self.status.map_or(!self.ours, |status| status == 421);
        self.step == Step::Sender && closed
    }

    /// The cause of a permanent failure: by how far the dialogue had come, and by the enhanced status
    /// code before the text (RFC 3463), where the server sends one.
    fn cause(&self) -> Cause {
        if self.step < Step::Recipient {
            return Cause::Settings;
        }
        let code = self.text.split_whitespace().next().unwrap_or_default();
        let digits: Vec<&str> = code.split('.').collect();
        match digits[..] {
            // The sender's address, which some servers look at only now.
            ["5", "1", "7" | "8"] => Cause::Settings,
            // The recipient's address or mailbox.
            ["5", "1" | "2", _] => Cause::Recipient,
            // A quota; relaying or sending that is not permitted.
            ["5", "4", "5"] => Cause::Policy,
            ["5", "7", _] if self.step == Step::Recipient => Cause::Policy,
            _ => Cause::Message,
        }
    }

    pub(super) fn outcome(&self) -> AttemptOutcome {
        let cause = self.cause();
        match self.status {
            Some(500..) => AttemptOutcome::Permanent { cause },
            None if self.ours => AttemptOutcome::Permanent { cause },
            None if self.step == Step::End => AttemptOutcome::Uncertain,
            Some(_) | None => AttemptOutcome::Retry { after: None },
        }
    }
}

pub(super) fn text_of(response: &Response) -> String {
    response.message().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::Step::{Authenticate, Connect, Content, Encrypt, End, Recipient, Sender};
    use super::*;

    fn refusal(step: Step, status: Option<u16>, text: &str) -> Refusal {
        Refusal {
            step,
            status,
            text: text.to_owned(),
            ours: false,
        }
    }

    #[test]
    fn a_step_and_a_status_decide() {
        let retry = AttemptOutcome::Retry { after: None };
        for step in [
            Connect,
            Encrypt,
            Authenticate,
            Sender,
            Recipient,
            Content,
            End,
        ] {
            let is_early = step < Recipient;
            let cause = if is_early {
                Cause::Settings
            } else {
                Cause::Message
            };
            let permanent = AttemptOutcome::Permanent { cause };
            let is_over = step == End;
            let lost = if is_over {
                AttemptOutcome::Uncertain
            } else {
                retry
            };
            for (refusal, outcome, is_stale) in [
                (refusal(step, Some(421), ""), retry, step == Sender),
                (refusal(step, Some(450), ""), retry, false),
                (refusal(step, Some(550), ""), permanent, false),
                (refusal(step, None, ""), lost, step == Sender),
                (Refusal::lacking(step, ""), permanent, false),
            ] {
                assert_eq!(refusal.outcome(), outcome, "{refusal:?}");
                assert_eq!(refusal.is_stale(), is_stale, "{refusal:?}");
            }
        }
    }

    #[test]
    fn enhanced_status_codes_name_the_cause() {
        for (step, text, cause) in [
            (Recipient, "5.1.1 No such user", Cause::Recipient),
            (Recipient, "5.2.2 Mailbox full", Cause::Recipient),
            (Recipient, "5.1.8 Sender address rejected", Cause::Settings),
            (
                Recipient,
                "5.4.5 Daily sending quota exceeded",
                Cause::Policy,
            ),
            (Recipient, "5.7.1 Relay access denied", Cause::Policy),
            (Recipient, "No such user", Cause::Message),
            (End, "5.7.1 It looks like spam", Cause::Message),
            (End, "5.4.5 Daily sending quota exceeded", Cause::Policy),
            (Sender, "5.1.1 No such user", Cause::Settings),
        ] {
            assert_eq!(
                refusal(step, Some(554), text).cause(),
                cause,
                "{step}: {text}"
            );
        }
    }
}
