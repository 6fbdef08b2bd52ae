//! E-mails.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use email_encoding::headers::rfc2047;
use email_encoding::headers::writer::EmailWriter as HeaderWriter;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Message, MultiPart};
use url::Url;

use super::http::Outgoing;
use super::mailbox::not_encoded;
use super::registry::RouteVariables;
use super::truncate::truncate;
use super::{
    Cause, Channel, ChannelSpec, EndpointMessage, Mailbox, NotSent, Receipt, Resend, Retry,
    SendError, SendGrid, SentBy, Smtp, Spec, Transport, Transports, Uncertain,
};
use crate::domain::text::plain;

/// Longest subject, in UTF-16 units; `SendGrid` and mail readers have no use for more.
const SUBJECT_MAX: usize = 255;

#[derive(Debug)]
pub struct Email;

impl ChannelSpec for Email {
    type Target = Mailbox;

    const SPEC: Spec = Spec {
        name: "email",
        messages: "e-mails",
        target: Mailbox::SPEC,
        sent_by: SentBy::Account {
            variables: "NOTIFY_SMTP_URL, NOTIFICATIONS_RESEND_API_KEY or NOTIFY_SENDGRID_API_KEY",
            transports: &["smtp", "resend", "sendgrid"],
        },
        retry: Retry::Patient,
        // The same Message-ID, so that many readers show it once.
        uncertain: Uncertain::Resend,
        pace: None,
        route: Some(RouteVariables {
            address: "NOTIFICATIONS_EMAIL_TO",
            switch: "NOTIFICATIONS_EMAIL_ENABLED",
            is_list: true,
        }),
        domains: &[],
    };

    async fn attempt(
        target: &Mailbox,
        transports: &Transports<'_>,
        message: &EndpointMessage<'_>,
        now: DateTime<Utc>,
    ) -> Result<Receipt, NotSent> {
        let none = NotSent::NoTransport(Channel::Email);
        let (mailer, writer) = transports.email.ok_or(none)?;
        let email = writer.write(message, target).map_err(NotSent::Template)?;
        Ok(mailer
            .send(transports.outgoing, target, &email, now)
            .await?)
    }
}

/// A rendered e-mail, but for its recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailMessage {
    /// The same in every attempt; the Message-ID is made of it.
    pub key: String,
    pub from: Mailbox,
    pub reply_to: Option<Mailbox>,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Where a POST without further questions unsubscribes the recipient (RFC 8058).
    pub unsubscribe: Option<Url>,
}

impl EmailMessage {
    /// With its angle brackets.
    fn message_id(&self) -> String {
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
    fn type_headers(&self) -> Vec<(&'static str, String)> {
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
    pub(super) fn api_headers(&self) -> BTreeMap<&'static str, String> {
        let message_id = ("Message-ID", self.message_id());
        self.type_headers()
            .into_iter()
            .chain([message_id])
            .collect()
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
            let reason = format!("the e-mail can't be written: {error}");
            SendError::permanent(Cause::Message, reason)
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

impl Mailer {
    /// Its name in tables, options and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Smtp(_) => EmailTransport::Smtp.name(),
            Self::Resend(_) => Resend::NAME,
            Self::SendGrid(_) => SendGrid::NAME,
        }
    }

    /// No attempt takes longer; a lease has to outlive it.
    pub fn time_limit(&self, outgoing: &Outgoing) -> Duration {
        match self {
            Self::Smtp(smtp) => smtp.time_limit(),
            Self::Resend(_) | Self::SendGrid(_) => outgoing.timeout(),
        }
    }

    /// One attempt, which starts at `now`.
    pub async fn send(
        &self,
        outgoing: &Outgoing,
        target: &Mailbox,
        message: &EmailMessage,
        now: DateTime<Utc>,
    ) -> Result<Receipt, SendError> {
        match self {
            Self::Smtp(smtp) => smtp.send(target, message, now).await,
            Self::Resend(resend) => resend.send(outgoing, target, message, now).await,
            Self::SendGrid(sendgrid) => sendgrid.send(outgoing, target, message, now).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use mail_parser::MessageParser;

    use super::*;
    use crate::channels::samples::{email, mailbox};

    fn mime(message: &EmailMessage, to: &Mailbox) -> String {
        let now = "2026-11-21T10:00:00Z".parse().expect("a time");
        let mail = message.to_mime(to, now).expect("a mail");
        assert!(mail.is_ascii());
        String::from_utf8(mail).expect("ASCII")
    }

    fn longest_line(mail: &str) -> usize {
        mail.lines().map(str::len).max().expect("lines")
    }

    #[test]
    fn headers_of_an_email() {
        let mail = mime(&email(), &mailbox("Grace Ünsal <grace@example.org>"));
        let head = mail.split("Content-Type").next().expect("a head");
        insta::assert_snapshot!(head.replace("\r\n", "\n"), @"
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
        let names: Vec<_> = email().api_headers().into_keys().collect();
        assert_eq!(
            names.join(" "),
            "Auto-Submitted List-Unsubscribe List-Unsubscribe-Post Message-ID"
        );
    }

    #[test]
    fn long_addresses_stay_in_one_piece_and_long_subjects_are_truncated() {
        let long = format!("https://app.example/unsubscribe?token={}", "x".repeat(700));
        let message = EmailMessage {
            unsubscribe: Some(long.parse().expect("an address")),
            subject: "🦀 ".repeat(400),
            ..email()
        };
        let mail = mime(&message, &mailbox("a@example.org"));
        assert!(mail.contains(&format!("\r\nList-Unsubscribe: <{long}>\r\n")));
        let mail = MessageParser::default().parse(&mail).expect("a mail");
        let subject = mail.subject().expect("a subject");
        assert!(
            subject.ends_with('…') && subject.encode_utf16().count() <= 255,
            "{subject}"
        );
    }

    /// Titles and names are what people write.
    #[test]
    fn encoded_words_are_not_decoded() {
        let hostile = "Re: =?utf-8?q?=E2=80=AE=0D=0ABcc:_evil@example.com?= and more, as long as it takes for a second line";
        let message = EmailMessage {
            subject: hostile.to_owned(),
            ..email()
        };
        let to = Mailbox::new(Some("=?utf-8?q?=E2=80=AE?="), "a@example.org").expect("a mailbox");
        let mail = mime(&message, &to);
        assert!(longest_line(&mail) < 100, "{mail}");
        let mail = MessageParser::default().parse(&mail).expect("a mail");
        assert_eq!(mail.subject(), Some(hostile));
        let to = mail.to().and_then(|to| to.first()?.name()).expect("a name");
        assert_eq!(to.replace('\u{2060}', ""), "=?utf-8?q?=E2=80=AE?=");
        assert!(!message.subject().contains("=?"));
    }

    #[test]
    fn long_names_are_truncated() {
        for letter in ["x", "Ü", "x ", "x,"] {
            let to = Mailbox::new(Some(&letter.repeat(2_000)), "a@example.org");
            let to = to.expect("a mailbox");
            assert!(longest_line(&mime(&email(), &to)) < 998);
            // Those who take it by an API write the header themselves.
            assert!(to.header().len() < 2 * 128 + 32, "{}", to.header());
        }
    }

    #[test]
    fn one_click_needs_https() {
        for (url, count) in [
            (None, 1),
            (Some("http://localhost/u"), 2),
            (Some("https://a.example/u"), 3),
        ] {
            let message = EmailMessage {
                unsubscribe: url.map(|url| url.parse().expect("an address")),
                ..email()
            };
            assert_eq!(message.type_headers().len(), count, "{url:?}");
        }
    }
}
