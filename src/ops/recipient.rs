//! The recipient of a delivery, as operators see it.

use uuid::Uuid;

use crate::channels::{Channel, redact};
use crate::db::Transaction;
use crate::delivery::phone_numbers;

/// What is known of a recipient, and where it is shown.
pub(super) struct DeliveryRecipient<'a> {
    pub(super) channel: &'a str,
    /// `user:ID`, `endpoint:ID` or a route.
    pub(super) recipient: &'a str,
    /// A person's e-mail address.
    pub(super) address: Option<String>,
    pub(super) to: &'a mut String,
}

/// Shows people by their addresses, redacted: of a text message by the phone number.
pub(super) async fn show_addresses(
    transaction: &mut Transaction<'_>,
    recipients: Vec<DeliveryRecipient<'_>>,
) -> Result<(), sqlx::Error> {
    let sms = Channel::Sms.name();
    let (texts, others): (Vec<_>, Vec<_>) =
        recipients.into_iter().partition(|one| one.channel == sms);
    for DeliveryRecipient { address, to, .. } in others {
        if let Some(address) = address {
            *to = redact::mail_addresses(&address);
        }
    }
    let user = |one: &DeliveryRecipient<'_>| one.recipient.strip_prefix("user:")?.parse().ok();
    let ids: Vec<Uuid> = texts.iter().filter_map(user).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let numbers = phone_numbers(transaction, &ids).await?;
    for text in texts {
        if let Some(number) = user(&text).and_then(|id| numbers.get(&id)) {
            *text.to = format!("{number:?}");
        }
    }
    Ok(())
}
