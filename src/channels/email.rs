//! E-mails.

use std::time::Duration;

use chrono::{DateTime, Utc};
use email_encoding::headers::rfc2047;
use email_encoding::headers::writer::EmailWriter as HeaderWriter;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Message, MultiPart};
use serde_json::{Map, Value};
use url::Url;

use super::mailbox::not_encoded;
use super::truncate::truncate;
use super::{
    Cause, Channel, ChannelSpec, DeliveryKey, EndpointMessage, Mailbox, NotSent, Receipt, Resend,
    Retry, RouteVariables, SendError, SendGrid, SentBy, Smtp, Transport, Transports, Uncertain,
};
use crate::domain::text::plain;

/// Longest subject, in UTF-16 units; `SendGrid` and mail readers have no use for more.
const SUBJECT_MAX: usize = 255;

#[derive(Debug)]
pub struct Email;

impl ChannelSpec for Email {
    type Target = Mailbox;

    const NAME: &'static str = "email";
    const MESSAGES: &'static str = "e-mails";
    const SENT_BY: SentBy = SentBy::Account {
        variables: "NOTIFY_SMTP_URL, NOTIFICATIONS_RESEND_API_KEY or NOTIFY_SENDGRID_API_KEY",
        transports: &["smtp", "resend", "sendgrid"],
    };
    const RETRY: Retry = Retry::Patient;
    // The same Message-ID, so that many readers show it once.
    const UNCERTAIN: Uncertain = Uncertain::Resend;
    const ROUTE: Option<RouteVariables> = Some(RouteVariables {
        address: "NOTIFICATIONS_EMAIL_TO",
        switch: "NOTIFICATIONS_EMAIL_ENABLED",
        is_list: true,
    });

    async fn send(
        target: &Mailbox,
        transports: &Transports<'_>,
        message: &EndpointMessage<'_>,
        now: DateTime<Utc>,
    ) -> Result<Receipt, NotSent> {
        let none = NotSent::NoTransport(Channel::Email);
        let (mailer, writer) = transports.email.ok_or(none)?;
        let email = writer.write(message, target).map_err(NotSent::Template)?;
        Ok(mailer.send(target, &email, now).await?)
    }
}

/// A rendered e-mail, but for its recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailMessage {
    /// The same in every attempt; the Message-ID is made of it.
    pub key: DeliveryKey,
    pub from: Mailbox,
    pub reply_to: Option<Mailbox>,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Where a POST without further questions unsubscribes the recipient (RFC 8058).
    pub unsubscribe: Option<Url>,
}

impl EmailMessage {
    /// The Message-ID, with its angle brackets.
    pub fn message_id(&self) -> String {
        format!("<{}@{}>", self.key, self.from.domain())
    }

    /// The subject as an API takes it, which may put it into the header as it is.
    pub(super) fn subject(&self) -> String {
        not_encoded(&self.plain_subject())
    }

    fn plain_subject(&self) -> String {
        truncate(&plain(&self.subject), SUBJECT_MAX)
    }

    /// The headers that say what it is and how to unsubscribe, in their order.
    pub(super) fn type_headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("Auto-Submitted", "auto-generated".to_owned())];
        if let Some(url) = &self.unsubscribe {
            headers.push(("List-Unsubscribe", format!("<{url}>")));
            // One click is for HTTPS only (RFC 8058, 3.1).
            if url.scheme() == "https" {
                let one_click = "List-Unsubscribe=One-Click".to_owned();
                headers.push(("List-Unsubscribe-Post", one_click));
            }
        }
        headers
    }

    /// The headers that an API is given.
    pub(super) fn api_headers(&self) -> Map<String, Value> {
        let mut headers: Map<String, Value> = self
            .type_headers()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        headers.insert("Message-ID".to_owned(), self.message_id().into());
        headers
    }

    /// The e-mail as SMTP sends it.
    pub(super) fn to_mime(&self, to: &Mailbox, now: DateTime<Utc>) -> Result<Vec<u8>, SendError> {
        let mut builder = Message::builder()
            .date(now.into())
            .from(self.from.0.clone())
            .to(to.0.clone())
            .raw_header(subject_header(self.plain_subject()))
            .message_id(Some(self.message_id()));
        if let Some(reply_to) = &self.reply_to {
            builder = builder.reply_to(reply_to.0.clone());
        }
        for (name, value) in self.type_headers() {
            // Each is one word of ASCII, which must be neither folded nor encoded.
            let name = HeaderName::new_from_ascii_str(name);
            let header = HeaderValue::dangerous_new_pre_encoded(name, value.clone(), value);
            builder = builder.raw_header(header);
        }
        let parts = MultiPart::alternative_plain_html(crlf(&self.text), crlf(&self.html));
        let mail = builder.multipart(parts).map_err(|error| {
            SendError::permanent(
                Cause::Message,
                format!("the e-mail can't be written: {error}"),
            )
        })?;
        Ok(mail.formatted())
    }
}

/// A subject that looks like an encoded word (RFC 2047) is encoded itself, or a mail reader would
/// decode it to what [`plain`] has dropped.
fn subject_header(subject: String) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str("Subject");
    if !subject.contains("=?") {
        return HeaderValue::new(name, subject);
    }
    let mut encoded = String::new();
    // Writing to a string does not fail.
    let _ = rfc2047::encode(
        &subject,
        &mut HeaderWriter::new(&mut encoded, "Subject: ".len(), 0, false),
    );
    HeaderValue::dangerous_new_pre_encoded(name, subject, encoded)
}

/// Line ends as e-mails have them. The builder does this too, at a cost that grows with the square
/// of the number of lines.
fn crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

/// Which transport sends the e-mails of this installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailTransport {
    Smtp,
    Resend,
    SendGrid,
}

impl EmailTransport {
    pub fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Resend => "resend",
            Self::SendGrid => "sendgrid",
        }
    }
}

/// What sends the e-mails of this installation.
#[derive(Debug)]
pub enum Mailer {
    Smtp(Smtp),
    Resend(Resend),
    SendGrid(SendGrid),
}

macro_rules! by {
    ($mailer:expr, $transport:ident => $call:expr) => {
        match $mailer {
            Mailer::Smtp($transport) => $call,
            Mailer::Resend($transport) => $call,
            Mailer::SendGrid($transport) => $call,
        }
    };
}

impl Transport for Mailer {
    type Target = Mailbox;
    type Message = EmailMessage;

    fn name(&self) -> &'static str {
        by!(self, transport => transport.name())
    }

    fn time_limit(&self) -> Duration {
        by!(self, transport => transport.time_limit())
    }

    async fn send(
        &self,
        target: &Mailbox,
        message: &EmailMessage,
        now: DateTime<Utc>,
    ) -> Result<Receipt, SendError> {
        by!(self, transport => transport.send(target, message, now).await)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::channels::mailbox::tests::mailbox;
    use mail_parser::MessageParser;

    pub(in crate::channels) fn sample() -> EmailMessage {
        EmailMessage {
            key: "email.6f9c".parse().expect("a key"),
            from: mailbox("Brücke, Ltd. <notify@example.com>"),
            reply_to: Some(mailbox("help@example.com")),
            subject: "Ada\r\nBcc: evil@example.com shared “Zähler.pdf”".to_owned(),
            text: "Hello Grace,\n.\nGrüße".to_owned(),
            html: "<p>Hello Grace,<br>Grüße</p>".to_owned(),
            unsubscribe: Some(
                "https://app.example/unsubscribe?token=abc"
                    .parse()
                    .expect("an address"),
            ),
        }
    }

    #[test]
    fn mime() {
        let now = "2026-11-21T10:00:00Z".parse().expect("a time");
        let to = mailbox("Grace Ünsal <grace@example.org>");
        let raw = sample().to_mime(&to, now).expect("a mail");
        let head = String::from_utf8(raw.clone()).expect("ASCII");
        let head = head
            .split("Content-Type")
            .next()
            .expect("a head")
            .replace("\r\n", "\n");
        insta::assert_snapshot!(head, @"
        Date: Sat, 21 Nov 2026 10:00:00 +0000
        From: =?utf-8?b?QnLDvGNrZSwgTHRkLg==?= <notify@example.com>
        To: =?utf-8?b?R3JhY2Ugw5xuc2Fs?= <grace@example.org>
        Subject: Ada Bcc: evil@example.com shared =?utf-8?b?4oCcWsOkaGxlci5wZGY=?=
         =?utf-8?b?4oCd?=
        Message-ID: <email.6f9c@example.com>
        Reply-To: help@example.com
        Auto-Submitted: auto-generated
        List-Unsubscribe: <https://app.example/unsubscribe?token=abc>
        List-Unsubscribe-Post: List-Unsubscribe=One-Click
        MIME-Version: 1.0
        ");
        assert!(raw.is_ascii());

        let mail = MessageParser::default().parse(&raw).expect("a mail");
        assert_eq!(
            mail.subject(),
            Some("Ada Bcc: evil@example.com shared “Zähler.pdf”")
        );
        assert!(mail.bcc().is_none());
        let text = mail.body_text(0).expect("a text").replace("\r\n", "\n");
        assert_eq!(text, "Hello Grace,\n.\nGrüße");
        let html = mail.body_html(0).expect("HTML");
        assert_eq!(html.trim_end(), "<p>Hello Grace,<br>Grüße</p>");
        assert_eq!(mail.message_id(), Some("email.6f9c@example.com"));
    }

    #[test]
    fn long_addresses_stay_in_one_piece() {
        let now = "2026-11-21T10:00:00Z".parse().expect("a time");
        let long = format!("https://app.example/unsubscribe?token={}", "x".repeat(700));
        let message = EmailMessage {
            unsubscribe: Some(long.parse().expect("an address")),
            subject: "🦀 ".repeat(400),
            ..sample()
        };
        let raw = message
            .to_mime(&mailbox("a@example.org"), now)
            .expect("a mail");
        let text = String::from_utf8(raw.clone()).expect("ASCII");
        assert!(text.contains(&format!("\r\nList-Unsubscribe: <{long}>\r\n")));
        let subject = MessageParser::default()
            .parse(&raw)
            .expect("a mail")
            .subject()
            .map(str::to_owned);
        assert!(
            subject.is_some_and(
                |subject| subject.ends_with('…') && subject.encode_utf16().count() <= 255
            )
        );
    }

    /// Titles and names are what people write.
    #[test]
    fn encoded_words_are_not_decoded() {
        let now = "2026-11-21T10:00:00Z".parse().expect("a time");
        let hostile = "Re: =?utf-8?q?=E2=80=AE=0D=0ABcc:_evil@example.com?= and more, as long as it takes for a second line";
        let message = EmailMessage {
            subject: hostile.to_owned(),
            ..sample()
        };
        let to = Mailbox::new(Some("=?utf-8?q?=E2=80=AE?="), "a@example.org").expect("a mailbox");
        let raw = message.to_mime(&to, now).expect("a mail");
        let mail = MessageParser::default().parse(&raw).expect("a mail");
        assert_eq!(mail.subject(), Some(hostile));
        let to = mail.to().and_then(|to| to.first()?.name()).expect("a name");
        assert_eq!(to.replace('\u{2060}', ""), "=?utf-8?q?=E2=80=AE?=");
        assert!(!message.subject().contains("=?"));
        let longest = raw.split(|b| *b == b'\n').map(<[u8]>::len).max();
        assert!(longest < Some(100), "{longest:?}");
    }

    #[test]
    fn long_names_are_truncated() {
        let now = "2026-11-21T10:00:00Z".parse().expect("a time");
        for letter in ["x", "Ü", "x ", "x,"] {
            let name = letter.repeat(2_000);
            let to = Mailbox::new(Some(&name), "a@example.org").expect("a mailbox");
            let raw = sample().to_mime(&to, now).expect("a mail");
            let longest = raw.split(|b| *b == b'\n').map(<[u8]>::len).max();
            assert!(longest < Some(998), "{longest:?}");
            // Those who take it by an API write the header themselves.
            assert!(to.header().len() < 2 * 128 + 32, "{}", to.header());
        }
    }

    #[test]
    fn one_click_needs_https() {
        let names = |url: Option<&str>| {
            let unsubscribe = url.map(|url| url.parse().expect("an address"));
            let message = EmailMessage {
                unsubscribe,
                ..sample()
            };
            message
                .type_headers()
                .into_iter()
                .map(|(name, _)| name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(None), ["Auto-Submitted"]);
        assert_eq!(
            names(Some("http://localhost/u")),
            ["Auto-Submitted", "List-Unsubscribe"]
        );
        assert_eq!(names(Some("https://a.example/u")).len(), 3);
    }
}
