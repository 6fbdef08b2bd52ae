//! Text messages to a phone.

use chrono::{DateTime, Utc};

use super::transport::link;
use super::truncate::{length, lines, truncate};
use super::{
    Channel, ChannelSpec, EndpointMessage, NotSent, PhoneNumber, Receipt, Retry, SentBy, Spec,
    Transport, Transports, Uncertain,
};
use crate::domain::announcement::Message;
use crate::domain::base_url::BaseUrl;
use crate::domain::text::plain;

/// Longest text that Twilio takes, in UTF-16 units.
const BODY_MAX: usize = 1_600;
/// Longest link at the end, so that there is room for a text.
const LINK_MAX: usize = BODY_MAX / 2;

#[derive(Debug)]
pub struct Sms;

impl ChannelSpec for Sms {
    type Target = PhoneNumber;

    const SPEC: Spec = Spec {
        name: "sms",
        messages: "text messages",
        target: PhoneNumber::SPEC,
        sent_by: SentBy::Account {
            variables: "NOTIFY_TWILIO_ACCOUNT_SID, NOTIFY_TWILIO_AUTH_TOKEN and NOTIFY_TWILIO_FROM",
            transports: &["twilio"],
        },
        retry: Retry::Patient,
        uncertain: Uncertain::Hold,
        pace: None,
        route: None,
        domains: &[],
    };

    async fn attempt(
        target: &PhoneNumber,
        transports: &Transports<'_>,
        message: &EndpointMessage<'_>,
        now: DateTime<Utc>,
    ) -> Result<Receipt, NotSent> {
        let none = NotSent::NoTransport(Channel::Sms);
        let twilio = transports.twilio.ok_or(none)?;
        let text = text(message.message, transports.app_url);
        Ok(twilio.send(transports.outgoing, target, &text, now).await?)
    }
}

/// Title and text, the fields where there is no text, and the link.
fn text(message: &Message, app_url: Option<&BaseUrl>) -> String {
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
    match link {
        Some(link) if words.is_empty() => link,
        Some(link) => format!("{}\n{link}", truncate(&words, BODY_MAX - length(&link) - 1)),
        None => truncate(&words, BODY_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::samples::{app, message};
    use proptest::prelude::*;

    #[test]
    fn a_text_message_has_title_text_and_link() {
        insta::assert_snapshot!(text(&message(), Some(&app())), @"
        Payment failed
        Card declined.

        Second try tomorrow.
        https://app.example.com/billing?tenant=7
        ");
        let terse = Message {
            text: String::new(),
            ..message()
        };
        assert_eq!(text(&terse, None), "Payment failed\nAmount: 12.00 EUR");
    }

    proptest! {
        #[test]
        fn a_text_message_fits_with_its_link(title in "\\PC{0,400}", words in "(\\PC{0,300}\n?){0,9}", path in "[a-z/]{0,900}") {
            let message = Message { title, text: words, link_url: Some(path), ..Message::default() };
            let sms = text(&message, Some(&app()));
            prop_assert!(length(&sms) <= BODY_MAX, "{}", sms);
            let link = link(&message, Some(&app())).expect("a link");
            prop_assert_eq!(sms.ends_with(&link), length(&link) <= LINK_MAX);
        }
    }
}
