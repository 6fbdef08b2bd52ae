//! One message to one destination, by whatever carries it.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::destination::Destination;
use super::message;
use crate::channels::{
    Channel, DeliveryKey, Discord, EmailMessage, Mailbox, Mailer, Outgoing, Receipt, SendError,
    Slack, Transport, Twilio, Webhook,
};
use crate::domain::announcement::Message;
use crate::domain::base_url::BaseUrl;
use crate::templates::{Recipient, TemplateError, Templates};

/// What carries messages to endpoints.
#[derive(Debug, Clone, Copy)]
pub struct Transports<'a> {
    /// For all that speaks HTTP.
    pub outgoing: &'a Outgoing,
    /// For mails, where that is configured.
    pub mail: Option<EmailTransport<'a>>,
    /// For text messages, where that is configured.
    pub twilio: Option<&'a Twilio>,
    /// Where the application is, for links.
    pub app_url: Option<&'a BaseUrl>,
}

/// What mails to endpoints are made with.
#[derive(Debug, Clone, Copy)]
pub struct EmailTransport<'a> {
    /// What carries them.
    pub mailer: &'a Mailer,
    /// Whom they are from.
    pub from: &'a Mailbox,
    /// Where answers go, if not there.
    pub reply_to: Option<&'a Mailbox>,
    /// Their words.
    pub templates: &'a Templates,
}

/// A message on its way.
#[derive(Debug, Clone)]
pub struct EndpointMessage<'a> {
    /// The same in every attempt.
    pub key: DeliveryKey,
    /// The type of the event.
    pub event_type: &'a str,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// What is told.
    pub told: &'a Message,
}

/// An attempt that brought no receipt.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    /// Nothing carries messages of the channel: nothing was tried.
    #[error("nothing that carries {0} is configured")]
    NoTransport(&'static str),
    /// The mail can't be put into words: nothing was tried.
    #[error("the mail can't be made: {0}")]
    Template(#[from] TemplateError),
    /// It was tried.
    #[error(transparent)]
    Failed(#[from] SendError),
}

impl Transports<'_> {
    /// What would carry a message there; `None` where nothing is configured that does.
    #[must_use]
    pub fn transport(&self, destination: &Destination) -> Option<Transport> {
        match destination {
            Destination::Slack(_) => Some(Transport::Slack),
            Destination::Discord(_) => Some(Transport::Discord),
            Destination::Webhook(_) => Some(Transport::Webhook),
            Destination::Email(_) => self.mail.map(|mail| mail.mailer.transport()),
            Destination::Sms(_) => self.twilio.map(Channel::transport),
        }
    }

    /// No attempt takes longer.
    #[must_use]
    pub fn time_limit(&self, destination: &Destination) -> Duration {
        match (destination, self.mail) {
            (Destination::Email(_), Some(mail)) => mail.mailer.time_limit(),
            _ => self.outgoing.timeout(),
        }
    }

    /// One attempt, begun at `now`.
    pub async fn send(
        &self,
        destination: &Destination,
        message: &EndpointMessage<'_>,
        now: DateTime<Utc>,
    ) -> Result<Receipt, NotSent> {
        let outgoing = || self.outgoing.clone();
        let told = message.told;
        let sent = match destination {
            Destination::Slack(url) => {
                let message = message::chat(told, self.app_url);
                let slack = Slack {
                    outgoing: outgoing(),
                };
                slack.send(url, &message, now).await
            }
            Destination::Discord(url) => {
                let message = message::chat(told, self.app_url);
                let discord = Discord {
                    outgoing: outgoing(),
                };
                discord.send(url, &message, now).await
            }
            Destination::Webhook(target) => {
                let message = message::webhook(
                    message.key.clone(),
                    message.event_type,
                    message.occurred_at,
                    told,
                    self.app_url,
                );
                let webhook = Webhook {
                    outgoing: outgoing(),
                };
                webhook.send(target, &message, now).await
            }
            Destination::Email(mailbox) => {
                let mail = self.mail.ok_or(NotSent::NoTransport("e-mails"))?;
                let message = mail.message(message, mailbox)?;
                mail.mailer.send(mailbox, &message, now).await
            }
            Destination::Sms(number) => {
                let twilio = self.twilio.ok_or(NotSent::NoTransport("text messages"))?;
                let message = message::sms(told, self.app_url);
                twilio.send(number, &message, now).await
            }
        };
        Ok(sent?)
    }
}

impl EmailTransport<'_> {
    /// The operator chose the mailbox, so there is nothing to unsubscribe from.
    fn message(
        &self,
        message: &EndpointMessage<'_>,
        to: &Mailbox,
    ) -> Result<EmailMessage, TemplateError> {
        let queued = message::mail(message.event_type, message.occurred_at, message.told);
        let reader = Recipient {
            name: to.name(),
            ..Recipient::default()
        };
        let words = self.templates.mail(&queued, &reader)?;
        Ok(EmailMessage {
            key: message.key.clone(),
            from: self.from.clone(),
            reply_to: self.reply_to.cloned(),
            subject: words.subject,
            text: words.text,
            html: words.html,
            unsubscribe: None,
        })
    }
}
