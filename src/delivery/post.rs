//! By what messages leave, and how a lease becomes one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::decide::{Decision, Next};
use super::lease::{Leased, Reach};
use super::load::Loaded;
use super::{EMAIL, SMS, mail};
use crate::channels::{
    Cause, Channel, DeliveryKey, Destination, EmailMessage, EmailWriter, EndpointMessage, Mailbox,
    Mailer, NotSent, Outgoing, PhoneNumber, Receipt, SecretUrl, SendError, Transport, Transports,
    Twilio, no_transport,
};
use crate::domain::announcement::Message;
use crate::domain::base_url::BaseUrl;
use crate::domain::text::is_blank;
use crate::endpoints::{Encryption, Routes, operator_email};
use crate::templates::Templates;
use crate::unsubscribe::Unsubscribe;

/// A lease outlives the longest attempt by this: time to begin it, and to record what became of it.
const MARGIN: Duration = Duration::from_mins(1);

/// An endpoint whose settings can't be decrypted is left alone for this long.
const SEALED_PAUSE: Duration = Duration::from_mins(5);
/// A route that this environment does not have is looked for again after this time.
const UNKNOWN_PAUSE: Duration = Duration::from_mins(5);

/// What mails are made with and sent by.
#[derive(Debug)]
pub struct Mail {
    /// What carries them.
    pub mailer: Mailer,
    /// Whom they are from.
    pub from: Mailbox,
    /// Where answers go, if not there.
    pub reply_to: Option<Mailbox>,
    /// Their words.
    pub templates: Templates,
    /// How people get out of them, if that is configured.
    pub unsubscribe: Option<Unsubscribe>,
}

/// All ways out of the building.
#[derive(Debug)]
pub struct Post {
    /// For mails, where that is configured.
    pub mail: Option<Mail>,
    /// For text messages, where that is configured.
    pub twilio: Option<Twilio>,
    /// For whatever speaks HTTP.
    pub outgoing: Outgoing,
    /// The routes of the environment.
    pub routes: Routes,
    /// Opens the settings of endpoints.
    pub encryption: Encryption,
    /// Where the application is, if that is known.
    pub app_url: Option<BaseUrl>,
    /// What is sent there keeps the pace of the address.
    pub pace: Pace,
}

/// When the last message to each paced address began. A lease paces an endpoint; several endpoints and
/// a route of the environment may have the same address.
#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<SecretUrl, Instant>>);

impl Pace {
    /// Waits for the next time that a message may begin. Where many wait already, it goes at once: it
    /// would be in the way of other targets, and the chat says when it is too much.
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

/// A message that is ready to be sent.
#[derive(Debug)]
pub(super) enum Parcel {
    /// To a person's mailbox.
    Mail {
        to: Mailbox,
        message: Box<EmailMessage>,
    },
    /// To an endpoint, or a person's phone.
    Told {
        destination: Box<Destination>,
        told: Box<Message>,
        key: DeliveryKey,
        event_type: String,
        occurred_at: DateTime<Utc>,
    },
}

impl Post {
    pub(super) fn reach(&self) -> Reach {
        let mut closed = Vec::new();
        if self.mail.is_none() {
            closed.push(EMAIL.to_owned());
        }
        if self.twilio.is_none() {
            closed.push(SMS.to_owned());
        }
        let longest = self.mail.as_ref().map(|mail| mail.mailer.time_limit());
        Reach {
            closed,
            routes: self.routes.targets(),
            mails_by: self.mail.as_ref().map(|mail| mail.mailer.name()),
            lease: self.outgoing.timeout() + MARGIN,
            mail_lease: longest.unwrap_or_default().max(self.outgoing.timeout()) + MARGIN,
        }
    }

    /// Makes the message of a lease, or says why there is none to be sent.
    pub(super) fn pack(&self, leased: &Leased, loaded: &Loaded) -> Result<Parcel, Decision> {
        let person = leased.user_id.and_then(|id| loaded.people.get(&id));
        match (leased.user_id, leased.kind, &self.mail) {
            (Some(_), Channel::Email, Some(post)) => {
                let mails = loaded.mails.get(&leased.id).map_or(&[][..], Vec::as_slice);
                let (to, message) = mail::write(post, leased, person, mails)?;
                Ok(Parcel::Mail {
                    to,
                    message: Box::new(message),
                })
            }
            (Some(_), _, _) if loaded.muted.contains(&leased.id) => Err(Decision::without_attempt(
                Next::Cancelled,
                "muted",
                "the person has muted such messages",
            )),
            (Some(_), _, _) => {
                let phone = person.map(|person| person.phone.as_deref().unwrap_or_default());
                Self::tell(leased, phone_of(phone)?)
            }
            (None, _, _) => Self::tell(leased, self.destination(leased, loaded)?),
        }
    }

    fn tell(leased: &Leased, destination: Destination) -> Result<Parcel, Decision> {
        let told: Message = serde_json::from_str(&leased.message).map_err(|error| {
            Decision::without_attempt(
                Next::Dead,
                "unreadable",
                format!("notification_deliveries.message can't be read: {error}"),
            )
        })?;
        Ok(Parcel::Told {
            destination: Box::new(destination),
            told: Box::new(told),
            key: DeliveryKey::from(leased.key),
            event_type: leased.event_type.clone(),
            occurred_at: leased.occurred_at,
        })
    }

    /// Where an endpoint's message goes, as the endpoint stands now.
    fn destination(&self, leased: &Leased, loaded: &Loaded) -> Result<Destination, Decision> {
        let cancelled =
            |code: &str, reason: String| Decision::without_attempt(Next::Cancelled, code, reason);
        let disabled = |reason: &str| {
            let reason = format!("the endpoint was disabled: {reason}");
            cancelled("endpoint_disabled", reason)
        };
        let Some(id) = leased.endpoint_id else {
            if let Some(reason) = loaded.disabled_routes.get(&leased.recipient) {
                return Err(disabled(reason));
            }
            let Some(route) = self.routes.get(&leased.recipient) else {
                // Another machine may know it, and it may be given here again.
                let next = Next::Retry {
                    after: UNKNOWN_PAUSE,
                    is_charged: false,
                };
                let reason = format!("the environment has no route {} here", leased.recipient);
                return Err(Decision::without_attempt(next, "no_route", reason));
            };
            let off = || disabled("it is switched off in the environment");
            return route.destination.clone().ok_or_else(off);
        };
        let Some(row) = loaded.endpoints.get(&id) else {
            let reason = "the endpoint was removed".to_owned();
            return Err(cancelled("endpoint_removed", reason));
        };
        if !row.enabled {
            return Err(disabled(
                row.disabled_reason.as_deref().unwrap_or("manually"),
            ));
        }
        let unusable = |reason: String| Decision::without_attempt(Next::Dead, "endpoint", reason);
        let kind: Channel = row
            .channel
            .parse()
            .map_err(|_| unusable(format!("{} is not a channel", row.channel)))?;
        let opened = self.encryption.decrypt(id, row.settings.expose_secret());
        // No fault of the message: it waits until a key is given that fits.
        let opened = opened.map_err(|error| Decision {
            // Where the target is shared, the others can be sent.
            pause: (!leased.is_shared()).then_some(SEALED_PAUSE),
            ..Decision::without_attempt(
                Next::Retry {
                    after: SEALED_PAUSE,
                    is_charged: false,
                },
                "sealed",
                error.to_string(),
            )
        })?;
        Destination::parse(kind, &opened.settings)
            .map_err(|error| unusable(format!("the endpoint's settings are wrong: {error}")))
    }

    /// One attempt.
    pub(super) async fn send(
        &self,
        parcel: &Parcel,
        now: DateTime<Utc>,
    ) -> Result<Receipt, SendError> {
        match parcel {
            Parcel::Mail { to, message } => match &self.mail {
                Some(mail) => mail.mailer.send(to, message, now).await,
                None => Err(SendError::retry(no_transport(Channel::Email))),
            },
            Parcel::Told {
                destination,
                told,
                key,
                event_type,
                occurred_at,
            } => {
                let pace = destination.channel().spec().pace;
                if let (Some(pace), Some(url)) = (pace, destination.url()) {
                    self.pace.keep(&url.clone().into(), pace).await;
                }
                let parcel = EndpointMessage {
                    key: key.clone(),
                    event_type,
                    occurred_at: *occurred_at,
                    message: told,
                };
                let transports = self.transports();
                let sent = Box::pin(destination.send(&transports, &parcel, now)).await;
                sent.map_err(|error| match error {
                    NotSent::Failed(error) => error,
                    NotSent::NoTransport(_) => SendError::retry(error.to_string()),
                    NotSent::Template(_) => SendError::permanent(Cause::Message, error.to_string()),
                })
            }
        }
    }

    /// Says goodbye to whoever is still connected.
    pub(super) async fn close(&self) {
        if let Some(Mail {
            mailer: Mailer::Smtp(smtp),
            ..
        }) = &self.mail
        {
            smtp.close().await;
        }
    }

    /// What carries messages to endpoints.
    #[must_use]
    pub fn transports(&self) -> Transports<'_> {
        Transports {
            outgoing: &self.outgoing,
            email: self.mail.as_ref().map(|mail| (&mail.mailer, mail as _)),
            twilio: self.twilio.as_ref(),
            app_url: self.app_url.as_ref(),
        }
    }
}

impl EmailWriter for Mail {
    fn write(&self, message: &EndpointMessage<'_>, to: &Mailbox) -> Result<EmailMessage, String> {
        let reply_to = self.reply_to.as_ref();
        operator_email(message, to, &self.from, reply_to, &self.templates)
            .map_err(|error| error.to_string())
    }
}

/// A person's phone; `None`: the person is gone.
fn phone_of(phone: Option<&str>) -> Result<Destination, Decision> {
    let cancelled =
        |code: &str, reason: &str| Decision::without_attempt(Next::Cancelled, code, reason);
    match phone {
        None => Err(cancelled("recipient_gone", "the person is gone")),
        Some(number) if is_blank(number) => Err(cancelled(
            "no_number",
            "the person has no phone number (profiles.phone)",
        )),
        Some(number) => number
            .parse::<PhoneNumber>()
            .map(Destination::Sms)
            .map_err(|invalid| {
                Decision::without_attempt(Next::Dead, "invalid_number", invalid.to_string())
            }),
    }
}
