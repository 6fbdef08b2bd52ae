//! Transports: what carries out an attempt.

use chrono::{DateTime, Utc};

use super::http::{Answer, Details, Exchange, Outgoing, Request};
use super::redact::Redactor;
use super::{Channel, EmailMessage, Mailbox, Mailer, Receipt, SendError, SentBy, Twilio};
use crate::domain::announcement::Message;
use crate::domain::base_url::BaseUrl;

/// Sends messages by requests over HTTP.
///
/// A message is sent again exactly as it was: key and content must not change from one attempt to
/// the next, or a provider that knows the key refuses it.
pub trait Transport: Sync {
    type Target: ?Sized + Sync;
    type Message: ?Sized + Sync;

    /// Its name in tables, options and metrics.
    const NAME: &'static str;
    /// Statuses that say that the target no longer exists.
    const GONE: &'static [u16] = &[];

    /// Hides what no error and no answer may show.
    fn redactor(&self, target: &Self::Target) -> Redactor;

    fn request(
        &self,
        target: &Self::Target,
        message: &Self::Message,
        now: DateTime<Utc>,
    ) -> Result<Request, SendError>;

    /// What the provider says of the attempt besides the status.
    fn details(_: &Answer, _now: DateTime<Utc>) -> Details {
        Details::default()
    }

    /// One attempt, which starts at `now`.
    fn send(
        &self,
        outgoing: &Outgoing,
        target: &Self::Target,
        message: &Self::Message,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Receipt, SendError>> + Send {
        async move {
            let exchange = Exchange {
                transport: Self::NAME,
                gone: Self::GONE,
                redactor: &self.redactor(target),
                now,
            };
            let request = self.request(target, message, now)?;
            match outgoing.exchange(request).await {
                Ok(answer) => exchange.classify(&answer, Self::details(&answer, now)),
                Err(failure) => Err(exchange.failed(failure)),
            }
        }
    }
}

/// What sends messages to endpoints.
#[derive(Clone, Copy)]
pub struct Transports<'a> {
    pub outgoing: &'a Outgoing,
    /// Where it is configured.
    pub email: Option<(&'a Mailer, &'a (dyn EmailWriter + Sync))>,
    /// Where it is configured.
    pub twilio: Option<&'a Twilio>,
    /// Where the application is, for links.
    pub app_url: Option<&'a BaseUrl>,
}

impl Transports<'_> {
    /// What would send to an endpoint of the channel; `None` where nothing is configured that does.
    pub fn name(&self, channel: Channel) -> Option<&'static str> {
        match channel {
            Channel::Email => self.email.map(|(mailer, _)| mailer.name()),
            Channel::Sms => self.twilio.map(|_| Twilio::NAME),
            channel => Some(channel.name()),
        }
    }
}

/// Writes an e-mail to an endpoint.
pub trait EmailWriter {
    fn write(&self, message: &EndpointMessage<'_>, to: &Mailbox) -> Result<EmailMessage, String>;
}

/// What an endpoint is sent; each channel renders it in its own form.
#[derive(Debug, Clone)]
pub struct EndpointMessage<'a> {
    /// The same in every attempt: Message-ID, idempotency key, `webhook-id`. Letters, digits, `-`
    /// and `.`, below the shortest limit: 256 characters of Resend's `Idempotency-Key`.
    pub key: String,
    pub event_type: &'a str,
    pub occurred_at: DateTime<Utc>,
    pub message: &'a Message,
}

/// An attempt without a receipt.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    /// Nothing was tried.
    #[error("{}", no_transport(*.0))]
    NoTransport(Channel),
    /// Nothing was tried.
    #[error("the e-mail can't be rendered: {0}")]
    Template(String),
    #[error(transparent)]
    Failed(#[from] SendError),
}

/// Says that nothing sends the messages of a channel, and what to set.
pub fn no_transport(channel: Channel) -> String {
    let spec = channel.spec();
    let messages = spec.messages;
    match spec.sent_by {
        SentBy::Endpoint => format!("nothing sends {messages}"),
        SentBy::Account { variables, .. } => {
            format!("no transport for {messages} is configured (set {variables})")
        }
    }
}

/// Its link as an address, where the application's is known.
pub(super) fn link(message: &Message, app_url: Option<&BaseUrl>) -> Option<String> {
    let path = message.link_url.as_deref()?;
    app_url.map(|app_url| app_url.link(path))
}
