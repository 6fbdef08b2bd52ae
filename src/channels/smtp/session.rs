//! One connection to a mail server, and the dialogue on it.

use std::error::Error as _;
use std::fmt;
use std::iter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail as MailCommand, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use secrecy::ExposeSecret;
use tokio_rustls::TlsConnector;

use super::server::Security;
use super::stream::{Encrypted, connect};
use super::{AttemptOutcome, SmtpSettings, starttls};
use crate::channels::Cause;

/// How much of a mail is written at once.
const PART: usize = 16 * 1_024;

/// A connection that is ready for a mail.
pub(super) struct Session {
    connection: AsyncSmtpConnection,
    pub(super) used: Instant,
    pub(super) mails: u32,
}

/// What is sent, and how far that has come.
pub(super) struct Mail<'a> {
    pub(super) from: &'a Address,
    pub(super) to: &'a Address,
    pub(super) content: &'a [u8],
    /// Set just before the line that ends the mail is written: from there on the server may have
    /// taken it.
    pub(super) handed_over: &'a AtomicBool,
}

pub(super) struct Taken {
    pub(super) status: u16,
    pub(super) text: String,
}

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

    pub(super) fn lost(step: Step, error: &std::io::Error) -> Self {
        Self {
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

impl Session {
    pub(super) async fn open(settings: &SmtpSettings, tls: &TlsConnector) -> Result<Self, Refusal> {
        let server = &settings.server;
        let hello = server
            .hello
            .clone()
            .map_or_else(ClientId::default, ClientId::Domain);
        let lost = |step| move |error| Refusal::lost(step, &error);
        let stream = connect(&server.host, server.port, settings.connect_timeout).await;
        let stream = stream.map_err(lost(Step::Connect))?;
        let stream: Box<dyn AsyncTokioStream> = match server.security {
            Security::Tls => {
                let encrypted = Encrypted::over(stream, &server.host, tls, &[]).await;
                Box::new(encrypted.map_err(lost(Step::Connect))?)
            }
            Security::StartTls => {
                let stream = starttls::begin(stream, &hello).await?;
                // The dialogue begins anew, and the client expects it to do so with a greeting.
                let greeting = b"220 encrypted\r\n";
                let encrypted = Encrypted::over(stream, &server.host, tls, greeting).await;
                Box::new(encrypted.map_err(lost(Step::Encrypt))?)
            }
            Security::None => Box::new(stream),
        };
        let greeting = AsyncSmtpConnection::connect_with_transport(stream, &hello);
        let mut connection = greeting.await.map_err(Refusal::at(Step::Connect))?;
        if let Some((user, password)) = &server.credentials {
            let password = password.expose_secret().to_owned();
            let credentials = Credentials::new(user.clone(), password);
            let authenticating = connection.auth(DEFAULT_MECHANISMS, &credentials);
            authenticating
                .await
                .map_err(Refusal::at(Step::Authenticate))?;
        }
        Ok(Self {
            connection,
            used: Instant::now(),
            mails: 0,
        })
    }

    pub(super) async fn send(&mut self, mail: &Mail<'_>) -> Result<Taken, Refusal> {
        let parameters = self.parameters(mail)?;
        let sender = MailCommand::new(Some(mail.from.clone()), parameters);
        let sender = self.connection.command(sender).await;
        sender.map_err(Refusal::at(Step::Sender))?;
        self.mails += 1;
        let recipient = Rcpt::new(mail.to.clone(), Vec::new());
        let recipient = self.connection.command(recipient).await;
        recipient.map_err(Refusal::at(Step::Recipient))?;
        let ready = self.connection.command(Data).await;
        ready.map_err(Refusal::at(Step::Content))?;

        // The client asks for one more part only after it has written the last one.
        let end = iter::from_fn(|| {
            mail.handed_over.store(true, Ordering::Relaxed);
            None
        });
        let parts = mail.content.chunks(PART).chain(end);
        let taken = self.connection.message_iter(parts).await.map_err(|error| {
            let over = mail.handed_over.load(Ordering::Relaxed);
            Refusal::at(if over { Step::End } else { Step::Content })(error)
        })?;
        self.used = Instant::now();
        Ok(Taken {
            status: taken.code().into(),
            text: text_of(&taken),
        })
    }

    /// What the server has to know of the mail beforehand, and to be able to do.
    fn parameters(&self, mail: &Mail<'_>) -> Result<Vec<MailParameter>, Refusal> {
        let server = self.connection.server_info();
        let mut parameters = Vec::new();
        let addresses: [&str; 2] = [mail.from.as_ref(), mail.to.as_ref()];
        if !addresses.iter().all(|address| address.is_ascii()) {
            if !server.supports_feature(Extension::SmtpUtfEight) {
                let text = "the server takes no addresses beyond ASCII (SMTPUTF8)";
                return Err(Refusal::lacking(Step::Recipient, text));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !mail.content.is_ascii() {
            if !server.supports_feature(Extension::EightBitMime) {
                let text = "the server takes no mail beyond ASCII (8BITMIME)";
                return Err(Refusal::lacking(Step::Content, text));
            }
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        Ok(parameters)
    }

    /// Whether it is ready for another e-mail.
    pub(super) async fn reset(&mut self) -> bool {
        self.used = Instant::now();
        self.connection.command(Rset).await.is_ok()
    }

    pub(super) async fn quit(mut self) {
        let _ = self.connection.quit().await;
    }
}

fn text_of(response: &Response) -> String {
    response.message().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn outcomes() {
        use Step::{Authenticate, Connect, Content, Encrypt, End, Recipient, Sender};
        let mut table = String::new();
        for step in [
            Connect,
            Encrypt,
            Authenticate,
            Sender,
            Recipient,
            Content,
            End,
        ] {
            for (status, ours) in [
                (Some(421), false),
                (Some(450), false),
                (Some(550), false),
                (None, false),
                (None, true),
            ] {
                let refusal = Refusal {
                    step,
                    status,
                    text: String::new(),
                    ours,
                };
                let stale = if refusal.is_stale() { ", stale" } else { "" };
                let _ = writeln!(
                    table,
                    "{step:?} {status:?} ours={ours}: {:?}{stale}",
                    refusal.outcome()
                );
            }
        }
        insta::assert_snapshot!(table, @"
        Connect Some(421) ours=false: Retry { after: None }
        Connect Some(450) ours=false: Retry { after: None }
        Connect Some(550) ours=false: Permanent { cause: Settings }
        Connect None ours=false: Retry { after: None }
        Connect None ours=true: Permanent { cause: Settings }
        Encrypt Some(421) ours=false: Retry { after: None }
        Encrypt Some(450) ours=false: Retry { after: None }
        Encrypt Some(550) ours=false: Permanent { cause: Settings }
        Encrypt None ours=false: Retry { after: None }
        Encrypt None ours=true: Permanent { cause: Settings }
        Authenticate Some(421) ours=false: Retry { after: None }
        Authenticate Some(450) ours=false: Retry { after: None }
        Authenticate Some(550) ours=false: Permanent { cause: Settings }
        Authenticate None ours=false: Retry { after: None }
        Authenticate None ours=true: Permanent { cause: Settings }
        Sender Some(421) ours=false: Retry { after: None }, stale
        Sender Some(450) ours=false: Retry { after: None }
        Sender Some(550) ours=false: Permanent { cause: Settings }
        Sender None ours=false: Retry { after: None }, stale
        Sender None ours=true: Permanent { cause: Settings }
        Recipient Some(421) ours=false: Retry { after: None }
        Recipient Some(450) ours=false: Retry { after: None }
        Recipient Some(550) ours=false: Permanent { cause: Message }
        Recipient None ours=false: Retry { after: None }
        Recipient None ours=true: Permanent { cause: Message }
        Content Some(421) ours=false: Retry { after: None }
        Content Some(450) ours=false: Retry { after: None }
        Content Some(550) ours=false: Permanent { cause: Message }
        Content None ours=false: Retry { after: None }
        Content None ours=true: Permanent { cause: Message }
        End Some(421) ours=false: Retry { after: None }
        End Some(450) ours=false: Retry { after: None }
        End Some(550) ours=false: Permanent { cause: Message }
        End None ours=false: Uncertain
        End None ours=true: Permanent { cause: Message }
        ");
    }

    #[test]
    fn enhanced_status_codes() {
        let mut table = String::new();
        for (step, text) in [
            (Step::Recipient, "5.1.1 No such user"),
            (Step::Recipient, "5.2.2 Mailbox full"),
            (Step::Recipient, "5.1.8 Sender address rejected"),
            (Step::Recipient, "5.4.5 Daily sending quota exceeded"),
            (Step::Recipient, "5.7.1 Relay access denied"),
            (Step::Recipient, "5.7.0 Authentication required"),
            (Step::Recipient, "No such user"),
            (Step::End, "5.7.1 It looks like spam"),
            (Step::End, "5.4.5 Daily sending quota exceeded"),
            (Step::Sender, "5.1.1 No such user"),
        ] {
            let refusal = Refusal {
                step,
                status: Some(554),
                text: text.to_owned(),
                ours: false,
            };
            let _ = writeln!(table, "{step:?} {text}: {:?}", refusal.cause());
        }
        insta::assert_snapshot!(table, @"
        Recipient 5.1.1 No such user: Recipient
        Recipient 5.2.2 Mailbox full: Recipient
        Recipient 5.1.8 Sender address rejected: Settings
        Recipient 5.4.5 Daily sending quota exceeded: Policy
        Recipient 5.7.1 Relay access denied: Policy
        Recipient 5.7.0 Authentication required: Policy
        Recipient No such user: Message
        End 5.7.1 It looks like spam: Message
        End 5.4.5 Daily sending quota exceeded: Policy
        Sender 5.1.1 No such user: Settings
        ");
    }
}
