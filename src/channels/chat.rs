//! Messages to chats, in plain text: whatever the chat would take for markup is shown as it is.

use std::marker::PhantomData;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use url::Url;

use super::http::{Answer, Details, Outgoing, Request};
use super::redact::Redactor;
use super::transport::{HttpTransport, link};
use super::{
    ChannelSpec, EndpointMessage, NotSent, Receipt, RouteVariables, SecretUrl, SendError,
    Transport, Transports, Uncertain,
};
use crate::domain::announcement::Message;
use crate::domain::base_url::BaseUrl;

pub use crate::domain::announcement::{Field, Severity};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChatMessage {
    /// One line.
    pub title: String,
    /// Lines and paragraphs stay apart.
    pub text: String,
    pub fields: Vec<Field>,
    pub severity: Severity,
    pub link: Option<Link>,
    /// One small line at the end.
    pub footer: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub label: String,
    pub url: Url,
}

impl ChatMessage {
    pub fn new(message: &Message, app_url: Option<&BaseUrl>) -> Self {
        let link = link(message, app_url).and_then(|url| url.parse().ok());
        Self {
            title: message.title.clone(),
            text: message.text.clone(),
            fields: message.fields.clone(),
            severity: message.severity,
            link: link.map(|url| Link {
                label: "Open it".to_owned(),
                url,
            }),
            footer: app_url.map(BaseUrl::host),
        }
    }
}

/// A chat that takes messages through webhooks: what differs from one to another.
pub trait Chat {
    const NAME: &'static str;
    const MESSAGES: &'static str;
    const PACE: Option<Duration> = None;
    const ROUTE: Option<RouteVariables> = None;
    const DOMAINS: &'static [&'static str] = &[];
    /// Statuses that say that the webhook was removed.
    const GONE: &'static [u16] = &[404, 410];

    fn body(message: &ChatMessage) -> Value;

    fn details(answer: &Answer) -> Details;

    /// The address that a message is posted to.
    fn address(webhook: &Url) -> Url {
        webhook.clone()
    }
}

impl<C: Chat> ChannelSpec for C {
    type Target = SecretUrl;

    const NAME: &'static str = C::NAME;
    const MESSAGES: &'static str = C::MESSAGES;
    // Everybody in the room would see it twice.
    const UNCERTAIN: Uncertain = Uncertain::Hold;
    const PACE: Option<Duration> = C::PACE;
    const ROUTE: Option<RouteVariables> = C::ROUTE;
    const DOMAINS: &'static [&'static str] = C::DOMAINS;

    async fn send(
        target: &SecretUrl,
        transports: &Transports<'_>,
        message: &EndpointMessage<'_>,
        now: DateTime<Utc>,
    ) -> Result<Receipt, NotSent> {
        let transport = ChatTransport::<C>::new(transports.outgoing.clone());
        let message = ChatMessage::new(message.message, transports.app_url);
        Ok(transport.send(target, &message, now).await?)
    }
}

/// Posts to the webhooks of a chat.
#[derive(Debug)]
pub struct ChatTransport<C> {
    outgoing: Outgoing,
    chat: PhantomData<fn() -> C>,
}

impl<C> ChatTransport<C> {
    pub fn new(outgoing: Outgoing) -> Self {
        Self {
            outgoing,
            chat: PhantomData,
        }
    }
}

impl<C: Chat> HttpTransport for ChatTransport<C> {
    type Target = SecretUrl;
    type Message = ChatMessage;

    const NAME: &'static str = C::NAME;
    const GONE: &'static [u16] = C::GONE;

    fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    fn redactor(&self, target: &SecretUrl) -> Redactor {
        target.redactor()
    }

    fn request(
        &self,
        target: &SecretUrl,
        message: &ChatMessage,
        _: DateTime<Utc>,
    ) -> Result<Request, SendError> {
        let address = C::address(target.expose());
        Ok(Request::json(address, &C::body(message)))
    }

    fn details(answer: &Answer, _: DateTime<Utc>) -> Details {
        C::details(answer)
    }
}

/// How a severity looks.
pub(super) trait Look {
    /// Before the title.
    fn sign(self) -> &'static str;
    /// Red, green, blue.
    fn colour(self) -> u32;
}

impl Look for Severity {
    fn sign(self) -> &'static str {
        match self {
            Self::Info => "",
            Self::Success => "✅ ",
            Self::Warning => "⚠️ ",
            Self::Critical => "🚨 ",
        }
    }

    fn colour(self) -> u32 {
        match self {
            Self::Info => 0x3b_82f6,
            Self::Success => 0x16_a34a,
            Self::Warning => 0xf5_9e0b,
            Self::Critical => 0xdc_2626,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::transport::tests::{app, message};

    #[test]
    fn chats_link_where_the_application_is_known() {
        let linked = ChatMessage::new(&message(), Some(&app()));
        let link = linked.link.expect("a link");
        assert_eq!(
            link.url.as_str(),
            "https://app.example.com/billing?tenant=7"
        );
        assert_eq!(linked.footer.as_deref(), Some("app.example.com"));
        let unknown = ChatMessage::new(&message(), None);
        assert_eq!((unknown.link, unknown.footer), (None, None));
        let unlinked = Message {
            link_url: None,
            ..message()
        };
        assert_eq!(ChatMessage::new(&unlinked, Some(&app())).link, None);
    }
}
