//! Text messages to a phone.

use chrono::{DateTime, Utc};

use super::transport::link;
use super::truncate::{length, lines, truncate};
use super::{
    Channel, ChannelSpec, EndpointMessage, NotSent, PhoneNumber, Receipt, Retry, SentBy, Transport,
    Transports, Uncertain,
};
use crate::domain::announcement::Message;
use crate::domain::base_url::BaseUrl;
use crate::domain::text::plain;

/// Longest text, in UTF-16 units.
pub const BODY_MAX: usize = 1_600;
/// Longest link at the end, so that there is room for a text.
const LINK_MAX: usize = BODY_MAX / 2;

#[derive(Debug)]
pub struct Sms;

impl ChannelSpec for Sms {
    type Target = PhoneNumber;

    const NAME: &'static str = "sms";
    const MESSAGES: &'static str = "text messages";
    const SENT_BY: SentBy = SentBy::Account {
        variables: "NOTIFY_TWILIO_ACCOUNT_SID, NOTIFY_TWILIO_AUTH_TOKEN and NOTIFY_TWILIO_FROM",
        transports: &["twilio"],
    };
    const RETRY: Retry = Retry::Patient;
    const UNCERTAIN: Uncertain = Uncertain::Hold;

    async fn send(
        target: &PhoneNumber,
        transports: &Transports<'_>,
        message: &EndpointMessage<'_>,
        now: DateTime<Utc>,
    ) -> Result<Receipt, NotSent> {
        let none = NotSent::NoTransport(Channel::Sms);
        let twilio = transports.twilio.ok_or(none)?;
        let message = SmsMessage::new(message.message, transports.app_url);
        Ok(twilio.send(target, &message, now).await?)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmsMessage {
    pub text: String,
}

impl SmsMessage {
    /// Title and text, the fields where there is no text, and the link.
    pub fn new(message: &Message, app_url: Option<&BaseUrl>) -> Self {
        let mut parts = vec![plain(&message.title)];
        let text = lines(&message.text);
        if text.is_empty() {
            let fields = message.fields.iter();
            parts.extend(fields.map(|field| plain(&format!("{}: {}", field.name, field.value))));
        } else {
            parts.push(text);
        }
        parts.retain(|line| !line.is_empty());
        let words = parts.join("\n");
        let link = link(message, app_url).filter(|link| length(link) <= LINK_MAX);
        let text = match link {
            Some(link) if words.is_empty() => link,
            Some(link) => format!("{}\n{link}", truncate(&words, BODY_MAX - length(&link) - 1)),
            None => truncate(&words, BODY_MAX),
        };
        Self { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::transport::tests::{app, message};
    use proptest::prelude::*;

    #[test]
    fn a_text_message_has_title_text_and_link() {
        insta::assert_snapshot!(SmsMessage::new(&message(), Some(&app())).text, @"
        Payment failed
        Card declined.

        Second try tomorrow.
        https://app.example.com/billing?tenant=7
        ");
        let terse = Message {
            text: String::new(),
            ..message()
        };
        insta::assert_snapshot!(SmsMessage::new(&terse, None).text, @"
        Payment failed
        Amount: 12.00 EUR
        ");
    }

    proptest! {
        #[test]
        fn a_text_message_fits_with_its_link(title in "\\PC{0,400}", text in "(\\PC{0,300}\n?){0,9}", path in "[a-z/]{0,900}") {
            let message = Message { title, text, link_url: Some(path), ..Message::default() };
            let sms = SmsMessage::new(&message, Some(&app()));
            prop_assert!(length(&sms.text) <= BODY_MAX, "{}", sms.text);
            let link = link(&message, Some(&app())).expect("a link");
            prop_assert_eq!(sms.text.ends_with(&link), length(&link) <= LINK_MAX);
        }
    }
}
