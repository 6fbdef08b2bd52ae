//! Renders leased deliveries and sends them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::lease::{Capabilities, Leased};
use super::load::Loaded;
use super::retry_policy::{Decision, Next};
use super::states::Code;
use super::{EMAIL, SMS, email};
use crate::channels::{
    Cause, Channel, Destination, EmailMessage, EmailWriter, EndpointMessage, Mailbox, Mailer,
    NotSent, Outgoing, PhoneNumber, Receipt, SecretUrl, SendError, Transports, Twilio,
    no_transport,
};
use crate::domain::announcement::Message;
use crate::domain::base_url::BaseUrl;
use crate::domain::text::is_blank;
use crate::endpoints::{Encryption, Routes, operator_email};
use crate::templates::Templates;
use crate::unsubscribe::Unsubscribe;

/// A lease outlives the longest attempt by this: time to begin it and to record the result.
const MARGIN: Duration = Duration::from_mins(1);

/// Pause of an endpoint whose settings cannot be decrypted.
const UNDECRYPTABLE_PAUSE: Duration = Duration::from_mins(5);
/// When a route that this environment lacks is looked up again.
const UNKNOWN_PAUSE: Duration = Duration::from_mins(5);

/// Renders and sends e-mails to people.
#[derive(Debug)]
pub struct EmailSender {
    /// The transport.
    pub mailer: Mailer,
    /// The address in `From`.
    pub from: Mailbox,
    /// The address in `Reply-To`.
    pub reply_to: Option<Mailbox>,
    pub(crate) templates: Templates,
    /// Signs unsubscribe addresses.
    pub unsubscribe: Option<Unsubscribe>,
}

/// All transports, and what is needed to render messages for them.
#[derive(Debug)]
pub struct Sender {
    pub(crate) mail: Option<EmailSender>,
    pub(crate) twilio: Option<Twilio>,
    /// The HTTP client.
    pub outgoing: Outgoing,
    /// The routes of the environment.
    pub routes: Routes,
    /// Decrypts the settings of endpoints.
    pub encryption: Encryption,
    pub(crate) app_url: Option<BaseUrl>,
    pub(crate) pace: Pace,
}

/// When the last message to each paced address began. Leases pace an endpoint; several endpoints and a
/// route of the environment may share an address.
#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<SecretUrl, Instant>>);

impl Pace {
    /// Waits until the next message may begin. Where many wait already, it begins at once: waiting would
    /// delay other targets, and the chat answers 429 when it is too much.
    async fn keep(&self, address: &SecretUrl, pace: Duration) {
        let slot = {
            let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let next = begun.get(address).map_or(now, |last| now.max(*last + pace));
            if next > now + 2 * pace {
                return;
            }
            begun.insert(address.clone(), next);
            next
        };
        tokio::time::sleep_until(slot).await;
    }
}

/// A message ready to be sent.
#[derive(Debug)]
pub(super) enum Rendered {
    /// To a person's mailbox.
    Email {
        to: Mailbox,
        message: Box<EmailMessage>,
    },
    /// To an endpoint, or a person's phone.
    ForEndpoint {
        destination: Box<Destination>,
        message: Box<Message>,
        key: String,
        event_type: String,
        occurred_at: DateTime<Utc>,
    },
}

impl Sender {
    pub(super) fn capabilities(&self) -> Capabilities {
        let mut unavailable = Vec::new();
        if self.mail.is_none() {
            unavailable.push(EMAIL.to_owned());
        }
        if self.twilio.is_none() {
            unavailable.push(SMS.to_owned());
        }
        let longest = self
            .mail
            .as_ref()
            .map(|mail| mail.mailer.time_limit(&self.outgoing));
        Capabilities {
            unavailable,
            routes: self.routes.targets(),
            email_transport: self.mail.as_ref().map(|mail| mail.mailer.name()),
            lease: self.outgoing.timeout() + MARGIN,
            email_lease: longest.unwrap_or_default().max(self.outgoing.timeout()) + MARGIN,
        }
    }

    /// Renders a leased delivery, or decides that it is not sent.
    pub(super) fn render(&self, leased: &Leased, loaded: &Loaded) -> Result<Rendered, Decision> {
        let person = leased.user_id.and_then(|id| loaded.people.get(&id));
        match (leased.user_id, leased.channel, &self.mail) {
            (Some(_), Channel::Email, Some(sender)) => {
                let mails = loaded.mails.get(&leased.id).map_or(&[][..], Vec::as_slice);
                let (to, message) = email::render(sender, leased, person, mails)?;
                Ok(Rendered::Email {
                    to,
                    message: Box::new(message),
                })
            }
            (Some(_), _, _) if loaded.muted.contains(&leased.id) => Err(Decision::without_attempt(
                Next::Cancelled,
                Code::Muted,
                "the recipient has muted such messages",
            )),
            (Some(_), _, _) => {
                let phone = person.map(|person| person.phone.as_deref().unwrap_or_default());
                Self::tell(leased, phone_of(phone)?)
            }
            (None, _, _) => Self::tell(leased, self.destination(leased, loaded)?),
        }
    }

    fn tell(leased: &Leased, destination: Destination) -> Result<Rendered, Decision> {
        let message: Message = serde_json::from_str(&leased.message).map_err(|error| {
            Decision::without_attempt(
                Next::Dead,
                Code::Unreadable,
                format!("notification_deliveries.message can't be read: {error}"),
            )
        })?;
        Ok(Rendered::ForEndpoint {
            destination: Box::new(destination),
            message: Box::new(message),
            key: leased.key.to_string(),
            event_type: leased.event_type.clone(),
            occurred_at: leased.occurred_at,
        })
    }

    /// The present target of an endpoint's message.
    fn destination(&self, leased: &Leased, loaded: &Loaded) -> Result<Destination, Decision> {
        let cancelled =
            |code: Code, reason: String| Decision::without_attempt(Next::Cancelled, code, reason);
        let disabled = |reason: &str| {
            let reason = format!("the endpoint was disabled: {reason}");
            cancelled(Code::EndpointDisabled, reason)
        };
        let Some(id) = leased.endpoint_id else {
            if let Some(reason) = loaded.disabled_routes.get(&leased.recipient) {
                return Err(disabled(reason));
            }
            let Some(route) = self.routes.get(&leased.recipient) else {
                // Another machine may have it, and this one may get it back.
                let next = Next::uncharged(UNKNOWN_PAUSE);
                let reason = format!("the environment has no route {} here", leased.recipient);
                return Err(Decision::without_attempt(next, Code::NoRoute, reason));
            };
            let off = || disabled("it is switched off in the environment");
            return route.destination.clone().ok_or_else(off);
        };
        let Some(row) = loaded.endpoints.get(&id) else {
            let reason = "the endpoint was removed".to_owned();
            return Err(cancelled(Code::EndpointRemoved, reason));
        };
        if !row.enabled {
            return Err(disabled(
                row.disabled_reason.as_deref().unwrap_or("manually"),
            ));
        }
        let unusable =
            |reason: String| Decision::without_attempt(Next::Dead, Code::Endpoint, reason);
        let channel: Channel = row
            .channel
            .parse()
            .map_err(|_| unusable(format!("{} is not a channel", row.channel)))?;
        let opened = self.encryption.decrypt(id, row.settings.expose_secret());
        // The message waits until the right key is configured.
        let opened = opened.map_err(|error| Decision {
            // In a shared target, other messages can be sent.
            pause: (!leased.is_shared()).then_some(UNDECRYPTABLE_PAUSE),
            ..Decision::without_attempt(
                Next::uncharged(UNDECRYPTABLE_PAUSE),
                Code::Undecryptable,
                error.to_string(),
            )
        })?;
        Destination::parse(channel, &opened.settings)
            .map_err(|error| unusable(format!("the endpoint's settings are wrong: {error}")))
    }

    /// One attempt.
    pub(super) async fn send(
        &self,
        rendered: &Rendered,
        now: DateTime<Utc>,
    ) -> Result<Receipt, SendError> {
        match rendered {
            Rendered::Email { to, message } => match &self.mail {
                Some(mail) => mail.mailer.send(&self.outgoing, to, message, now).await,
                None => Err(SendError::retry(no_transport(Channel::Email))),
            },
            Rendered::ForEndpoint {
                destination,
                message,
                key,
                event_type,
                occurred_at,
            } => {
                let pace = destination.channel().spec().pace;
                if let (Some(pace), Some(url)) = (pace, destination.url()) {
                    self.pace.keep(&url.clone().into(), pace).await;
                }
                let rendered = EndpointMessage {
                    key: key.clone(),
                    event_type,
                    occurred_at: *occurred_at,
                    message,
                };
                let transports = self.transports();
                let sent = Box::pin(destination.send(&transports, &rendered, now)).await;
                sent.map_err(|error| match error {
                    NotSent::Failed(error) => error,
                    NotSent::NoTransport(_) => SendError::retry(error.to_string()),
                    NotSent::Template(_) => SendError::permanent(Cause::Message, error.to_string()),
                })
            }
        }
    }

    /// Closes idle SMTP connections.
    pub(super) async fn close(&self) {
        if let Some(EmailSender {
            mailer: Mailer::Smtp(smtp),
            ..
        }) = &self.mail
        {
            smtp.close().await;
        }
    }

    /// The transports for endpoints.
    pub fn transports(&self) -> Transports<'_> {
        Transports {
            outgoing: &self.outgoing,
            email: self.mail.as_ref().map(|mail| (&mail.mailer, mail as _)),
            twilio: self.twilio.as_ref(),
            app_url: self.app_url.as_ref(),
        }
    }
}

impl EmailWriter for EmailSender {
    fn write(&self, message: &EndpointMessage<'_>, to: &Mailbox) -> Result<EmailMessage, String> {
        let reply_to = self.reply_to.as_ref();
        operator_email(message, to, &self.from, reply_to, &self.templates)
            .map_err(|error| error.to_string())
    }
}

/// A recipient's phone; `None`: the recipient no longer exists.
fn phone_of(phone: Option<&str>) -> Result<Destination, Decision> {
    let cancelled =
        |code: Code, reason: &str| Decision::without_attempt(Next::Cancelled, code, reason);
    match phone {
        None => Err(cancelled(
            Code::RecipientGone,
            "the recipient no longer exists",
        )),
        Some(number) if is_blank(number) => Err(cancelled(
            Code::NoNumber,
            "the recipient has no phone number (profiles.phone)",
        )),
        Some(number) => number
            .parse::<PhoneNumber>()
            .map(Destination::Sms)
            .map_err(|invalid| {
                Decision::without_attempt(Next::Dead, Code::InvalidNumber, invalid.to_string())
            }),
    }
}
