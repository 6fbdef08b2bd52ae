//! Mails: what they are made of, and what carries them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use email_encoding::headers::rfc2047;
use email_encoding::headers::writer::EmailWriter;
use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Message, MultiPart};
use url::Url;

use super::kind::Transport;
use super::outcome::{Cause, Receipt, SendError};
use super::redact::mail_addresses;
use super::resend::Resend;
use super::sendgrid::SendGrid;
use super::smtp::Smtp;
use super::truncate::truncate;
use super::{Channel, DeliveryKey};
use crate::domain::text::plain;

/// Longest subject, in UTF-16 units; `SendGrid` and mail readers have no use for more.
const SUBJECT_MAX: usize = 255;
/// Longest name of a mailbox, in UTF-16 units. A line of a mail has 998 bytes.
const NAME_MAX: usize = 128;
/// Has no width, and is no part of an encoded word.
const JOINER: &str = "\u{2060}";

/// Whom a mail is from or to: an address, and perhaps a name.
#[derive(Clone, PartialEq, Eq)]
pub struct Mailbox(lettre::message::Mailbox);

impl Mailbox {
    /// A mailbox of its parts. The name is shown as one line of plain text, truncated.
    pub fn new(name: Option<&str>, address: &str) -> Result<Self, InvalidMailbox> {
        let mut address: Address = address.trim().parse().map_err(|_| InvalidMailbox)?;
        if !address.domain().is_ascii() {
            // Any server takes the domain in this form; SMTPUTF8 is for what stands before it.
            let domain = url::Host::parse(address.domain()).map_err(|_| InvalidMailbox)?;
            address =
                Address::new(address.user(), domain.to_string()).map_err(|_| InvalidMailbox)?;
        }
        let name = name.map(|name| not_encoded(&truncate(&plain(name), NAME_MAX)));
        let name = name.filter(|name| !name.is_empty());
        Ok(Self(lettre::message::Mailbox::new(name, address)))
    }

    /// The address alone.
    #[must_use]
    pub fn address(&self) -> &str {
        self.0.email.as_ref()
    }

    /// The name alone.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Both, as a header of a mail has them but for the encoding.
    pub(super) fn written(&self) -> String {
        self.0.to_string()
    }

    pub(super) fn envelope_address(&self) -> &Address {
        &self.0.email
    }

    fn domain(&self) -> &str {
        self.0.email.domain()
    }
}

/// A text that is no mail address. It is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a mail address, such as ada@example.com or Ada <ada@example.com>")]
pub struct InvalidMailbox;

impl FromStr for Mailbox {
    type Err = InvalidMailbox;

    /// `ada@example.com`, or `Ada Lovelace <ada@example.com>`. Unlike in a mail's header, the name
    /// need not stand in quotation marks, whatever is in it.
    fn from_str(text: &str) -> Result<Self, InvalidMailbox> {
        let text = text.trim();
        let Some((name, address)) = text
            .strip_suffix('>')
            .and_then(|text| text.rsplit_once('<'))
        else {
            return Self::new(None, text);
        };
        let name = name.trim();
        let quoted = name
            .strip_prefix('"')
            .and_then(|name| name.strip_suffix('"'));
        let name = quoted.map_or_else(|| name.to_owned(), |name| name.replace('\\', ""));
        Self::new(Some(&name), address)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mail_addresses(self.address()))
    }
}

/// A mail, rendered, but for its recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailMessage {
    /// The same in every attempt; the Message-ID is made of it.
    pub key: DeliveryKey,
    /// Whom it is from.
    pub from: Mailbox,
    /// Where answers go, if not there.
    pub reply_to: Option<Mailbox>,
    /// One line.
    pub subject: String,
    /// The whole of it for readers that show no HTML.
    pub text: String,
    /// The whole of it for those that do.
    pub html: String,
    /// Where a POST without further questions unsubscribes the recipient (RFC 8058).
    pub unsubscribe: Option<Url>,
}

impl EmailMessage {
    /// The Message-ID, with its angle brackets.
    #[must_use]
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

    /// The headers that say what kind of mail it is, in their order.
    pub(super) fn kind_headers(&self) -> Vec<(&'static str, String)> {
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

    /// The mail as SMTP carries it.
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
        for (name, value) in self.kind_headers() {
            // Each is one word of ASCII, which must be neither folded nor encoded.
            let name = HeaderName::new_from_ascii_str(name);
            let header = HeaderValue::dangerous_new_pre_encoded(name, value.clone(), value);
            builder = builder.raw_header(header);
        }
        let parts = MultiPart::alternative_plain_html(crlf(&self.text), crlf(&self.html));
        let mail = builder.multipart(parts).map_err(|error| {
            SendError::permanent(
                Cause::Message,
                format!("the mail can't be written: {error}"),
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
        &mut EmailWriter::new(&mut encoded, "Subject: ".len(), 0, false),
    );
    HeaderValue::dangerous_new_pre_encoded(name, subject, encoded)
}

/// The same to see, and no encoded word to whoever reads it as a header.
fn not_encoded(text: &str) -> String {
    text.replace("=?", &format!("={JOINER}?"))
}

/// The ends of lines as mails have them. The builder would see to it too, at a cost that grows
/// with the square of their number.
fn crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

/// What carries the mails of this installation.
#[derive(Debug)]
pub enum Mailer {
    /// A mail server.
    Smtp(Smtp),
    /// The Resend API.
    Resend(Resend),
    /// The `SendGrid` API.
    SendGrid(SendGrid),
}

impl Channel for Mailer {
    type Target = Mailbox;
    type Message = EmailMessage;

    fn transport(&self) -> Transport {
        match self {
            Self::Smtp(one) => one.transport(),
            Self::Resend(one) => one.transport(),
            Self::SendGrid(one) => one.transport(),
        }
    }

    fn time_limit(&self) -> Duration {
        match self {
            Self::Smtp(one) => one.time_limit(),
            Self::Resend(one) => one.time_limit(),
            Self::SendGrid(one) => one.time_limit(),
        }
    }

    async fn send(
        &self,
        target: &Mailbox,
        message: &EmailMessage,
        now: DateTime<Utc>,
    ) -> Result<Receipt, SendError> {
        match self {
            Self::Smtp(one) => one.send(target, message, now).await,
            Self::Resend(one) => one.send(target, message, now).await,
            Self::SendGrid(one) => one.send(target, message, now).await,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use mail_parser::MessageParser;

    pub(in crate::channels) fn mailbox(text: &str) -> Mailbox {
        text.parse().expect("a mailbox")
    }

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
    fn mailboxes() {
        let grace = mailbox(" \"Hopper, Grace\" <grace@example.com> ");
        assert_eq!(
            (grace.name(), grace.address()),
            (Some("Hopper, Grace"), "grace@example.com")
        );
        assert_eq!(format!("{grace:?}"), "g…@example.com");
        let plain = Mailbox::new(Some("A\r\nBcc: b"), "a@example.com").expect("a mailbox");
        assert_eq!(plain.name(), Some("A Bcc: b"));
        for bad in [
            "",
            "ada",
            "a@b@c",
            "a@example.com\r\nBcc: b@example.com",
            "a b@example.com",
            "<>",
        ] {
            assert_eq!(Mailbox::new(None, bad), Err(InvalidMailbox), "{bad}");
            assert_eq!(bad.parse::<Mailbox>(), Err(InvalidMailbox), "{bad}");
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
        assert_eq!(to.replace(JOINER, ""), "=?utf-8?q?=E2=80=AE?=");
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
            assert!(to.written().len() < 2 * NAME_MAX + 32, "{}", to.written());
        }
    }

    #[test]
    fn domains_are_ascii() {
        let address = |text: &str| mailbox(text).address().to_owned();
        assert_eq!(address("ada@Bücher.example"), "ada@xn--bcher-kva.example");
        assert_eq!(address("ädä@example.com"), "ädä@example.com");
        assert_eq!("ada@a..ü".parse::<Mailbox>(), Err(InvalidMailbox));
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
                .kind_headers()
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
