//! Messages to chats, in plain text: whatever the chat would take for markup is shown as it is.

use chrono::{DateTime, Utc};
use serde_json::Value;
use url::Url;

use super::http::{Answer, Details, Request};
use super::redact::Redactor;
use super::transport::link;
use super::{
    ChannelSpec, EndpointMessage, NotSent, Receipt, SecretUrl, SendError, Spec, Transport,
    Transports,
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
    /// Is shown as [`LINK_LABEL`].
    pub link: Option<Url>,
    /// One small line at the end.
    pub footer: Option<String>,
}

pub(super) const LINK_LABEL: &str = "Open it";

impl ChatMessage {
    fn new(message: &Message, app_url: Option<&BaseUrl>) -> Self {
        Self {
            title: message.title.clone(),
            text: message.text.clone(),
            fields: message.fields.clone(),
            severity: message.severity,
            link: link(message, app_url).and_then(|url| url.parse().ok()),
            footer: app_url.map(BaseUrl::host),
        }
    }
}

/// A chat that takes messages through webhooks: what differs from one to another.
pub trait Chat: Default + Send + Sync {
    const SPEC: Spec;

    fn body(message: &ChatMessage) -> Value;

    fn details(answer: &Answer) -> Details;

    /// The address that a message is posted to.
    fn address(webhook: &Url) -> Url {
        webhook.clone()
    }
}

impl<C: Chat> ChannelSpec for C {
    type Target = SecretUrl;

    const SPEC: Spec = C::SPEC;

    async fn attempt(
        target: &SecretUrl,
        transports: &Transports<'_>,
        message: &EndpointMessage<'_>,
        now: DateTime<Utc>,
    ) -> Result<Receipt, NotSent> {
        let message = ChatMessage::new(message.message, transports.app_url);
        let chat = C::default();
        Ok(chat
            .send(transports.outgoing, target, &message, now)
            .await?)
    }
}

impl<C: Chat> Transport for C {
    type Target = SecretUrl;
    type Message = ChatMessage;

    const NAME: &'static str = C::SPEC.name;
    /// The webhook was removed.
    const GONE: &'static [u16] = &[404, 410];

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

/// Before the title.
pub(super) fn sign(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "",
        Severity::Success => "✅ ",
        Severity::Warning => "⚠️ ",
        Severity::Critical => "🚨 ",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::channels::samples::{app, field, message};
    use crate::channels::{discord, slack};

    #[test]
    fn chats_link_where_the_application_is_known() {
        let linked = ChatMessage::new(&message(), Some(&app()));
        let url = linked.link.expect("a link");
        assert_eq!(url.as_str(), "https://app.example.com/billing?tenant=7");
        assert_eq!(linked.footer.as_deref(), Some("app.example.com"));
        let unknown = ChatMessage::new(&message(), None);
        assert_eq!((unknown.link, unknown.footer), (None, None));
    }

    fn assert_limits(message: &ChatMessage) {
        slack::tests::assert_limits(&slack::Slack::body(message));
        discord::tests::assert_limits(&discord::Discord::body(message));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_message_keeps_the_limits(
            title in "\\PC{0,300}", text in "[&<*_a\\n]{0,9}", name in "[&*a]{0,9}", value in "[<_b👩]{0,9}",
            footer in proptest::option::of("\\PC{0,300}"), times in 0_usize..600, count in 0_usize..30,
        ) {
            let fields = vec![field(&name.repeat(times / 9), &value.repeat(times / 3)); count];
            let text = text.repeat(times);
            assert_limits(&ChatMessage { title, text, fields, footer, ..ChatMessage::default() });
        }
    }

    #[test]
    fn too_much_of_everything_keeps_the_limits() {
        let long = "&<*ab*>👩‍👧 ".repeat(2_000);
        let url = format!("https://app.example/{}", "x".repeat(4_000));
        assert_limits(&ChatMessage {
            title: long.clone(),
            text: long.clone(),
            fields: vec![field(&long, &long); 500],
            severity: Severity::Warning,
            link: Some(url.parse().expect("an address")),
            footer: Some(long),
        });
    }
}
