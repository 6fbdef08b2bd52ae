//! Renders leased deliveries and sends them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::email::EmailSender;
use super::lease::Capabilities;
use super::leased::Leased;
use super::load::{EndpointRow, Loaded};
use super::retry_policy::{Decision, Next};
use super::states::Code;
use super::{EMAIL, SMS};
use crate::channels::{
    Cause, Channel, Destination, EmailMessage, EndpointMessage, Mailbox, Mailer, NotSent, Outgoing,
    PhoneNumber, Receipt, SecretUrl, SendError, Transports, Twilio, no_transport,
};
use crate::domain::announcement::Message;
use crate::domain::base_url::BaseUrl;
use crate::domain::text::is_blank;
use crate::endpoints::{Encryption, Routes};

/// A lease outlives the longest attempt by this: time to begin it and to record the result.
const MARGIN: Duration = Duration::from_mins(1);

/// The reason of expired deliveries.
pub(super) const EXPIRED: &str = "expired: it waited for longer than NOTIFY_DELIVERY_MAX_AGE";

/// Pause of an endpoint whose settings cannot be decrypted.
const UNDECRYPTABLE_PAUSE: Duration = Duration::from_mins(5);
/// When a route that this environment lacks is looked up again.
const UNKNOWN_PAUSE: Duration = Duration::from_mins(5);

/// All transports, and what is needed to render messages for them.
#[derive(Debug)]
pub struct Sender {
    pub(crate) mail: Option<EmailSender>,
    pub(crate) twilio: Option<Twilio>,
    pub outgoing: Outgoing,
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
        let mail = self.mail.as_ref();
        let longest = mail.map(|mail| mail.mailer.time_limit(&self.outgoing));
        Capabilities {
            unavailable,
            routes: self.routes.targets(),
            email_transport: self.mail.as_ref().map(|mail| mail.mailer.name()),
            lease: self.outgoing.timeout() + MARGIN,
            email_lease: longest.unwrap_or_default().max(self.outgoing.timeout()) + MARGIN,
        }
    }

    /// Renders a leased delivery, or decides that it is not sent.
    pub(super) fn render(
        &self,
        leased: &Leased,
        loaded: &Loaded,
        max_age: Duration,
    ) -> Result<Rendered, Decision> {
        if leased.is_expired(max_age) {
            return Err(Decision::dead(Code::Expired, EXPIRED));
        }
        let Some(user_id) = leased.user_id else {
            return for_endpoint(leased, self.destination(leased, loaded)?);
        };
        let person = loaded.people.get(&user_id);
        if let (Channel::Email, Some(sender)) = (leased.channel, &self.mail) {
            let mails = loaded.mails.get(&leased.id).map_or(&[][..], Vec::as_slice);
            let (to, message) = sender.render(leased, person, mails)?;
            let message = Box::new(message);
            return Ok(Rendered::Email { to, message });
        }
        if loaded.muted.contains(&leased.id) {
            let reason = "the recipient has muted such messages";
            return Err(Decision::cancelled(Code::Muted, reason));
        }
        let phone = person.map(|person| person.phone.as_deref().unwrap_or_default());
        for_endpoint(leased, phone_of(phone)?)
    }

    /// The present target of an endpoint's message.
    fn destination(&self, leased: &Leased, loaded: &Loaded) -> Result<Destination, Decision> {
        let Some(id) = leased.endpoint_id else {
            return self.route(leased, loaded);
        };
        let Some(row) = loaded.endpoints.get(&id) else {
            let reason = "the endpoint was removed";
            return Err(Decision::cancelled(Code::EndpointRemoved, reason));
        };
        if !row.enabled {
            let reason = row.disabled_reason.as_deref();
            return Err(disabled(reason.unwrap_or("manually")));
        }
        self.endpoint(leased, row)
    }

    fn endpoint(&self, leased: &Leased, row: &EndpointRow) -> Result<Destination, Decision> {
        let unusable = |reason| Decision::dead(Code::Endpoint, reason);
        let channel: Channel = row
            .channel
            .parse()
            .map_err(|_| unusable(format!("{} is not a channel", row.channel)))?;
        let opened = self
            .encryption
            .decrypt(row.id, row.settings.expose_secret());
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

    fn route(&self, leased: &Leased, loaded: &Loaded) -> Result<Destination, Decision> {
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
        route.destination.clone().ok_or_else(off)
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

fn for_endpoint(leased: &Leased, destination: Destination) -> Result<Rendered, Decision> {
    let message: Message = serde_json::from_str(&leased.message).map_err(|error| {
        let reason = format!("notification_deliveries.message can't be read: {error}");
        Decision::dead(Code::Unreadable, reason)
    })?;
    Ok(Rendered::ForEndpoint {
        destination: Box::new(destination),
        message: Box::new(message),
        key: leased.key.to_string(),
        event_type: leased.event_type.clone(),
        occurred_at: leased.occurred_at,
    })
}

fn disabled(reason: &str) -> Decision {
    let reason = format!("the endpoint was disabled: {reason}");
    Decision::cancelled(Code::EndpointDisabled, reason)
}

/// A recipient's phone; `None`: the recipient no longer exists.
fn phone_of(phone: Option<&str>) -> Result<Destination, Decision> {
    let Some(number) = phone else {
        let reason = "the recipient no longer exists";
        return Err(Decision::cancelled(Code::RecipientGone, reason));
    };
    if is_blank(number) {
        let reason = "the recipient has no phone number (profiles.phone)";
        return Err(Decision::cancelled(Code::NoNumber, reason));
    }
    let number = number.parse::<PhoneNumber>();
    number
        .map(Destination::Sms)
        .map_err(|invalid| Decision::dead(Code::InvalidNumber, invalid.to_string()))
}
