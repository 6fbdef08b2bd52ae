//! The outside channels: each takes a rendered message and a target, sends it, and says what
//! became of it.
//!
//! Nothing here knows of the database, of leases or of templates. A [`Channel`] neither waits nor
//! tries again: its [`SendError`] states what its sender is to do. It reads no clock either, and
//! logs nothing; secrets, mail addresses and phone numbers stand in no error, answer or `Debug`.
//!
//! Whatever speaks HTTP goes through one [`Outgoing`], which decides where a request may go. The
//! server of [`Smtp`] is the operator's own choice and may stand on a private address.

pub mod chat;
pub mod discord;
pub mod email;
mod exchange;
pub mod key;
pub mod kind;
pub mod outcome;
pub mod outgoing;
pub mod phone;
pub mod redact;
pub mod resend;
mod retry_after;
pub mod secret_url;
pub mod sendgrid;
pub mod signature;
pub mod slack;
pub mod smtp;
pub mod tls_roots;
pub mod truncate;
pub mod twilio;
pub mod webhook;

use std::time::Duration;

use chrono::{DateTime, Utc};

pub use chat::{ChatMessage, Field, Link, Severity};
pub use discord::Discord;
pub use email::{EmailMessage, Mailbox, Mailer};
pub use key::DeliveryKey;
pub use kind::{Kind, Transport};
pub use outcome::{AttemptOutcome, Cause, NOT_PERMITTED, Receipt, SendError};
pub use outgoing::{Outgoing, OutgoingSettings, Policy};
pub use phone::PhoneNumber;
pub use resend::Resend;
pub use secret_url::SecretUrl;
pub use sendgrid::SendGrid;
pub use slack::Slack;
pub use smtp::Smtp;
pub use tls_roots::TlsRoots;
pub use twilio::{SmsMessage, Twilio};
pub use webhook::{Webhook, WebhookMessage, WebhookTarget};

/// A way to the outside.
///
/// A message is sent again exactly as it was: [`DeliveryKey`] and content must not change from one
/// attempt to the next, or a provider that knows the key refuses it.
pub trait Channel {
    /// Where a message can go.
    type Target: ?Sized;
    /// What can be sent.
    type Message: ?Sized;

    /// What carries the messages.
    fn transport(&self) -> Transport;

    /// No attempt takes longer; a lease has to outlive it.
    fn time_limit(&self) -> Duration;

    /// One attempt, begun at `now`.
    fn send(
        &self,
        target: &Self::Target,
        message: &Self::Message,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Receipt, SendError>> + Send;
}
