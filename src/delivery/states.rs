//! Statuses, codes and outcomes of attempts as the tables hold them.

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Type};

use crate::channels::Channel;

/// A closed set of texts of a column, and what each means for the docs.
macro_rules! texts {
    ($(#[$meta:meta])* $name:ident { $($variant:ident $text:literal $meaning:literal,)+ }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $(#[$meta])*
        pub(crate) enum $name {
            $($variant,)+
        }

        impl $name {
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)+];

            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            #[cfg(test)]
            pub(crate) const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)+
                }
            }
        }
    };
}

texts!(
    #[derive(sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    DeliveryStatus {
    Pending "pending" "queued: due, or waiting for its next attempt",
    Sending "sending" "leased by a worker, and perhaps in flight",
    Delivered "delivered" "accepted by the receiver",
    Dead "dead" "dead letter: failed permanently, or out of attempts",
    Cancelled "cancelled" "no longer wanted, or a duplicate; never sent",
    Uncertain "uncertain" "may have arrived; held for a person",
});

texts!(
    #[cfg_attr(not(test), expect(dead_code, reason = "for the docs; statements write some of them"))]
    Outcome {
    Delivered "delivered" "the receiver accepted the message",
    Retry "retry" "failed; another attempt may succeed",
    Permanent "permanent" "failed; every other attempt would fail too",
    Uncertain "uncertain" "sent, but not answered",
    Lost "lost" "the worker died before it recorded the result",
});

// Beside these, `code` holds the provider's name or number of an error, or the status of its answer.
texts!(
    #[cfg_attr(not(test), expect(dead_code, reason = "for the docs; statements write some of them"))]
    Code {
    Duplicate "duplicate" "cancelled: a dedup key suppresses it",
    Endpoint "endpoint" "dead: the settings of the endpoint are wrong",
    EndpointDisabled "endpoint_disabled" "cancelled: the endpoint or route is disabled",
    EndpointRemoved "endpoint_removed" "cancelled: the endpoint was removed",
    Expired "expired" "dead: not attempted within `NOTIFY_DELIVERY_MAX_AGE`",
    Gone "gone" "cancelled: the notification was deleted",
    InvalidAddress "invalid_address" "dead: the recipient's e-mail address is invalid",
    InvalidNumber "invalid_number" "dead: the recipient's phone number is invalid",
    Lost "lost" "the worker died before it recorded the result",
    Muted "muted" "cancelled: the recipient has muted such messages",
    NoAddress "no_address" "cancelled: the recipient has no e-mail address",
    NoAnswer "no_answer" "failed without an answer",
    NoNumber "no_number" "cancelled: the recipient has no phone number",
    NoRoute "no_route" "pending: this environment has no such route",
    NotPermitted "not_permitted" "not sent: the policy for outgoing requests forbids the address",
    Read "read" "cancelled: the notification was read",
    RecipientGone "recipient_gone" "cancelled: the recipient no longer exists",
    Refused "refused" "failed permanently without a status",
    Template "template" "dead: the e-mail could not be rendered",
    Throttled "throttled" "rate limited without a status",
    TooLate "too_late" "pending: the lease expired before the send started",
    Uncertain "uncertain" "sent, but not answered",
    Undecryptable "sealed" "pending: the settings of the endpoint cannot be decrypted",
    Unreadable "unreadable" "dead: the stored message cannot be decoded",
});

impl Type<Postgres> for Channel {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }
}

/// An unknown channel is an error that names it.
impl<'r> Decode<'r, Postgres> for Channel {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let name = <&str as Decode<Postgres>>::decode(value)?;
        name.parse()
            .map_err(|_| format!("unknown channel: {name}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_write_known_codes_and_statuses() {
        let statements = concat!(
            include_str!("disable.sql"),
            include_str!("expire.sql"),
            include_str!("promote_digests.sql"),
            include_str!("promote_emails.sql"),
            include_str!("rescue.sql"),
        );
        let written = |column: &str| -> Vec<&str> {
            let after = statements.split(column).skip(1);
            after.filter_map(|rest| rest.split('\'').next()).collect()
        };
        for code in written("code = '") {
            assert!(Code::ALL.iter().any(|known| known.name() == code), "{code}");
        }
        for status in written("SET status = '") {
            let is_of_email = ["failed", "sent", "processing"].contains(&status);
            let mut known = DeliveryStatus::ALL.iter();
            assert!(
                is_of_email || known.any(|known| known.name() == status),
                "{status}"
            );
        }
    }
}
