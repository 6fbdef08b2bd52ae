//! Renders e-mails to people: one that was queued, or several as a digest.

use sha2::{Digest as _, Sha256};

use super::lease::Leased;
use super::load::{EmailRow, Unwanted};
use super::people::Person;
use super::retry_policy::{Decision, Next};
use super::sender::EmailSender;
use super::states::Code;
use crate::channels::{EmailMessage, Mailbox};
use crate::domain::text::is_blank;
use crate::templates::{Digest, QueuedMail, Recipient};
use crate::unsubscribe::{UnsubscribeRequest, UnsubscribeScope};

/// An e-mail ready to be sent, or the decision that ends or delays it.
pub(super) type RenderedEmail = Result<(Mailbox, EmailMessage), Decision>;

/// The text of `status_reason`.
impl Unwanted {
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

/// Renders those e-mails of a delivery that are still wanted.
pub(super) fn render(
    sender: &EmailSender,
    leased: &Leased,
    person: Option<&Person>,
    mails: &[EmailRow],
) -> RenderedEmail {
    let cancelled =
        |code: Code, reason: &str| Decision::without_attempt(Next::Cancelled, code, reason);
    let dead = |code: Code, reason: String| Decision::without_attempt(Next::Dead, code, reason);
    let Some(person) = person else {
        return Err(cancelled(
            Code::RecipientGone,
            "the recipient no longer exists",
        ));
    };
    let wanted: Vec<&EmailRow> = mails
        .iter()
        .filter(|mail| mail.unwanted.is_none())
        .collect();
    let Some(first) = wanted.first() else {
        let unwanted = mails.iter().find_map(|mail| mail.unwanted);
        let unwanted = unwanted.unwrap_or(Unwanted::Gone);
        return Err(cancelled(unwanted.code(), unwanted.reason()));
    };
    let address = person.email.as_deref().filter(|address| !is_blank(address));
    let Some(address) = address else {
        return Err(cancelled(
            Code::NoAddress,
            "the recipient has no e-mail address",
        ));
    };
    let to = Mailbox::new(person.full_name.as_deref(), address)
        .map_err(|invalid| dead(Code::InvalidAddress, invalid.to_string()))?;

    let scope = if leased.is_digest() {
        UnsubscribeScope::All
    } else {
        UnsubscribeScope::from(first.event_type.as_str())
    };
    let user_id = first.user_id;
    let unsubscribe = sender
        .unsubscribe
        .as_ref()
        .map(|unsubscribe| unsubscribe.url(&UnsubscribeRequest { user_id, scope }));
    let recipient = Recipient {
        name: person.full_name.as_deref(),
        time_zone: person.time_zone.as_deref(),
        unsubscribe_url: unsubscribe.as_deref(),
    };
    let queued: Vec<QueuedMail> = wanted.into_iter().map(queued).collect();
    let rendered = match Digest::new(&queued) {
        Some(digest) if leased.is_digest() => sender.templates.digest(&digest, &recipient),
        _ => sender.templates.mail(&queued[0], &recipient),
    };
    let rendered = rendered.map_err(|error| dead(Code::Template, error.to_string()))?;
    let mut message = EmailMessage {
        key: String::new(),
        from: sender.from.clone(),
        reply_to: sender.reply_to.clone(),
        subject: rendered.subject,
        text: rendered.text,
        html: rendered.html,
        unsubscribe: unsubscribe.and_then(|url| url.parse().ok()),
    };
    message.key = key(leased, &to, &message);
    Ok((to, message))
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
