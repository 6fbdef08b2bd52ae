//! Channels: each sends one message to one target once, and says what came of the attempt.
//!
//! A channel is one file and one line in [`channels!`]. Its [`ChannelSpec`] is all that the rest of
//! the program knows of it: options, metrics, status and docs follow. How messages are sent is a
//! [`Transport`]'s: a channel's own, or one that is configured for all messages of a channel.
//!
//! Nothing here knows of the database, of leases or of templates. Nothing waits, retries, reads the
//! clock or logs: a [`SendError`] states what its caller is to do. Secrets, e-mail addresses and
//! phone numbers appear in no error, answer or `Debug`.
//!
//! Everything that speaks HTTP goes through one [`Outgoing`], which decides where a request may go.
//! The server of [`Smtp`] is the operator's own choice and may have a private address.

pub mod chat;
mod destination;
mod extra_headers;
pub mod http;
pub mod mailbox;
mod outcome;
pub mod phone;
pub mod redact;
#[macro_use]
mod registry;
mod resend;
#[cfg(test)]
mod samples;
mod secret_url;
mod sendgrid;
pub mod signature;
pub mod smtp;
mod tls_roots;
mod transport;
pub mod truncate;
pub mod twilio;

use destination::{Settings, Target};

// The order is that of tables and help texts.
channels! {
    email::Email,
    sms::Sms,
    slack::Slack,
    discord::Discord,
    webhook::Webhook,
}

pub use chat::{ChatMessage, Field, Severity};
pub use destination::InvalidTarget;
pub use email::{EmailMessage, EmailTransport, Mailer};
pub use extra_headers::ExtraHeaders;
pub use http::{Outgoing, OutgoingSettings, Policy};
pub use mailbox::Mailbox;
pub use outcome::{AttemptOutcome, Cause, NOT_PERMITTED, Receipt, SendError};
pub use phone::PhoneNumber;
pub use registry::{ChannelSpec, Retry, SentBy, Spec, Uncertain, UnknownChannel};
pub use resend::Resend;
pub use secret_url::SecretUrl;
pub use sendgrid::SendGrid;
pub use smtp::Smtp;
pub use tls_roots::TlsRoots;
pub use transport::{EmailWriter, EndpointMessage, NotSent, Transport, Transports, no_transport};
pub use twilio::Twilio;
pub use webhook::{WebhookMessage, WebhookTarget};
