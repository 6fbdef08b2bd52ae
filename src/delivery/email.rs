//! Renders e-mails: to people, one that was queued or several as a digest; and to operators.

use sha2::{Digest as _, Sha256};

use super::leased::Leased;
use super::load::{EmailRow, Unwanted};
use super::people::Person;
use super::retry_policy::Decision;
use super::states::Code;
use crate::channels::{EmailMessage, EmailWriter, EndpointMessage, Mailbox, Mailer};
use crate::domain::text::is_blank;
use crate::endpoints::operator_email;
use crate::templates::{Digest, QueuedMail, Recipient, Templates};
use crate::unsubscribe::{Unsubscribe, UnsubscribeRequest, UnsubscribeScope};

#[derive(Debug)]
pub struct EmailSender {
    pub mailer: Mailer,
    /// The address in `From`.
    pub from: Mailbox,
    /// The address in `Reply-To`.
    pub reply_to: Option<Mailbox>,
    pub(crate) templates: Templates,
    /// Signs unsubscribe addresses.
    pub unsubscribe: Option<Unsubscribe>,
}

impl Unwanted {
    /// The text of `status_reason`.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Muted => "the recipient has muted such e-mails",
            Self::Read => "the notification was read in the application",
            Self::Gone => "the notification was deleted",
        }
    }

    fn code(self) -> Code {
        match self {
            Self::Muted => Code::Muted,
            Self::Read => Code::Read,
            Self::Gone => Code::Gone,
        }
    }
}

impl EmailSender {
    /// Renders those e-mails of a delivery that are still wanted, or decides that it is not sent.
    pub(super) fn render(
        &self,
        leased: &Leased,
        person: Option<&Person>,
        mails: &[EmailRow],
    ) -> Result<(Mailbox, EmailMessage), Decision> {
        let Some(person) = person else {
            return Err(Decision::cancelled(
                Code::RecipientGone,
                "the recipient no longer exists",
            ));
        };
        let wanted = mails.iter().filter(|mail| mail.unwanted.is_none());
        let queued: Vec<QueuedMail> = wanted.map(queued).collect();
        let Some(first) = queued.first() else {
            let unwanted = mails.iter().find_map(|mail| mail.unwanted);
            let unwanted = unwanted.unwrap_or(Unwanted::Gone);
            return Err(Decision::cancelled(unwanted.code(), unwanted.reason()));
        };
        let address = person.email.as_deref().filter(|address| !is_blank(address));
        let Some(address) = address else {
            return Err(Decision::cancelled(
                Code::NoAddress,
                "the recipient has no e-mail address",
            ));
        };
        let to = Mailbox::new(person.full_name.as_deref(), address)
            .map_err(|invalid| Decision::dead(Code::InvalidAddress, invalid.to_string()))?;

        let scope = if leased.is_digest() {
            UnsubscribeScope::All
        } else {
            UnsubscribeScope::from(first.event_type.as_str())
        };
        let user_id = person.id;
        let unsubscribe = self.unsubscribe.as_ref();
        let unsubscribe = unsubscribe.map(|it| it.url(&UnsubscribeRequest { user_id, scope }));
        let recipient = Recipient {
            name: person.full_name.as_deref(),
            time_zone: person.time_zone.as_deref(),
            unsubscribe_url: unsubscribe.as_deref(),
        };
        let rendered = match Digest::new(&queued) {
            Some(digest) if leased.is_digest() => self.templates.digest(&digest, &recipient),
            _ => self.templates.mail(first, &recipient),
        };
        let rendered =
            rendered.map_err(|error| Decision::dead(Code::Template, error.to_string()))?;
        let mut message = EmailMessage {
            key: String::new(),
            from: self.from.clone(),
            reply_to: self.reply_to.clone(),
            subject: rendered.subject,
            text: rendered.text,
            html: rendered.html,
            unsubscribe: unsubscribe.and_then(|url| url.parse().ok()),
        };
        message.key = key(leased, &to, &message);
        Ok((to, message))
    }
}

impl EmailWriter for EmailSender {
    fn write(&self, message: &EndpointMessage<'_>, to: &Mailbox) -> Result<EmailMessage, String> {
        let reply_to = self.reply_to.as_ref();
        operator_email(message, to, &self.from, reply_to, &self.templates)
            .map_err(|error| error.to_string())
    }
}

/// The delivery's key and a part of the hash of the content: a repetition has the same key, and a digest
/// that lost an item meanwhile has another. (Providers refuse other content under a known key.)
fn key(leased: &Leased, to: &Mailbox, message: &EmailMessage) -> String {
    let mut hash = Sha256::new();
    let mailboxes = [Some(to), Some(&message.from), message.reply_to.as_ref()];
    let mailboxes = mailboxes
        .into_iter()
        .flatten()
        .flat_map(|mailbox| [mailbox.name().unwrap_or_default(), mailbox.address()]);
    let unsubscribe = message.unsubscribe.as_ref().map_or("", |url| url.as_str());
    let rendered = [&*message.subject, &message.text, &message.html, unsubscribe];
    for part in mailboxes.chain(rendered) {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let start = hash.finalize()[..8].try_into().unwrap_or_default();
    let hash = u64::from_be_bytes(start);
    format!("{}.{hash:016x}", leased.key)
}

fn queued(row: &EmailRow) -> QueuedMail {
    QueuedMail {
        event_type: row.event_type.clone(),
        subject: row.subject.clone(),
        // The generic template renders what cannot be decoded.
        body_data: serde_json::from_str(&row.body_data).unwrap_or_default(),
        project_id: row.project_id,
        project_name: row.project_name.clone(),
        created_at: row.created_at,
    }
}
