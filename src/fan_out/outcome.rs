//! Decisions per candidate and channel, and the rules behind them.

use serde::Serialize;
use sqlx::Postgres;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};

/// What happens, or would happen, in the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InAppOutcome {
    Delivered,
    /// Counted in a notification that is still unread.
    Merged,
    /// The event has no in-app notification.
    None,
    Withheld(Reason),
}

/// What happens, or would happen, by e-mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailOutcome {
    /// Queued, to go out on its own.
    Immediate,
    /// Queued for a digest.
    Aggregated,
    /// The event has no e-mail.
    None,
    Withheld(Reason),
}

/// What happens, or would happen, to an announcement at an endpoint or phone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum EndpointOutcome {
    Queued,
    /// Queued before, for this event.
    AlreadyQueued,
    Disabled,
    /// The event chooses other channels.
    OtherChannel,
    /// This alert was queued for it before on the same day.
    DuplicateAlert,
    /// The same content was queued for it within 24 hours.
    Duplicate,
}

impl EndpointOutcome {
    /// Whether it is suppressed by a dedup key.
    pub(crate) const fn is_duplicate(self) -> bool {
        matches!(self, Self::DuplicateAlert | Self::Duplicate)
    }

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::AlreadyQueued => "already queued",
            Self::Disabled => "disabled",
            Self::OtherChannel => "another channel was chosen",
            Self::DuplicateAlert => "duplicate alert of that day",
            Self::Duplicate => "same content within 24 hours",
        }
    }

    pub(crate) const fn rule(self) -> &'static str {
        match self {
            Self::Queued | Self::AlreadyQueued => "scope and event types of the endpoint",
            Self::Disabled => "the endpoint is disabled",
            Self::OtherChannel => "the event's channels",
            Self::DuplicateAlert => "once per alert and day (notification_delivery_guards)",
            Self::Duplicate => "the same content (notification_delivery_guards)",
        }
    }
}

/// Why a candidate is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Reason {
    Actor,
    UnknownPerson,
    /// A foreign key on `user_id` would refuse the row.
    UnknownRecipient,
    /// Not, or no longer, a member of the audience.
    NotAMember,
    /// May not view the document.
    NoAccess,
    /// Was notified before, and is notified only once.
    NotifiedOnce,
    /// A preference says so.
    Muted,
    /// A preference mutes the application, and that covers e-mail.
    MutedInApp,
    /// Was notified of this event before.
    AlreadyNotified,
}

impl Reason {
    pub(crate) const fn rule(self) -> &'static str {
        match self {
            Self::Actor => "recipient is the actor",
            Self::UnknownPerson => "no row in profiles",
            Self::UnknownRecipient => "a foreign key on user_id",
            Self::NotAMember => "membership of the audience",
            Self::NoAccess => "can_view",
            Self::NotifiedOnce => "once per person (notification_once)",
            Self::Muted => "a preference row",
            Self::MutedInApp => "an in-app mute covers e-mail (NOTIFY_MUTE_COVERS_EMAIL)",
            Self::AlreadyNotified => "one row per event and person",
        }
    }

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Actor => "skipped: actor",
            Self::UnknownPerson => "skipped: unknown person",
            Self::UnknownRecipient => "skipped: missing in a table that user_id refers to",
            Self::NotAMember => "skipped: not a member",
            Self::NoAccess => "skipped: no access",
            Self::NotifiedOnce => "skipped: notified once before",
            Self::Muted => "muted",
            Self::MutedInApp => "muted in the application",
            Self::AlreadyNotified => "already notified",
        }
    }
}

impl InAppOutcome {
    /// Why the candidate is skipped.
    pub(crate) const fn reason(self) -> Option<Reason> {
        match self {
            Self::Withheld(reason) => Some(reason),
            _ => None,
        }
    }

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Merged => "merged into an unread one",
            Self::None => "none for this event",
            Self::Withheld(reason) => reason.words(),
        }
    }
}

impl EmailOutcome {
    pub(crate) const fn is_queued(self) -> bool {
        matches!(self, Self::Immediate | Self::Aggregated)
    }

    /// Why the candidate is skipped.
    pub(crate) const fn reason(self) -> Option<Reason> {
        match self {
            Self::Withheld(reason) => Some(reason),
            _ => None,
        }
    }

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::Aggregated => "digest",
            Self::None => "none for this event",
            Self::Withheld(reason) => reason.words(),
        }
    }
}

/// Decodes a decision: one of its own codes, or else the reason why the candidate is skipped.
macro_rules! decode_decision {
    ($outcome:ident, $($code:literal => $variant:ident),+) => {
        impl sqlx::Type<Postgres> for $outcome {
            fn type_info() -> PgTypeInfo {
                <str as sqlx::Type<Postgres>>::type_info()
            }
        }

        impl<'r> sqlx::Decode<'r, Postgres> for $outcome {
            fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
                match value.as_str()? {
                    $($code => Ok(Self::$variant),)+
                    _ => Ok(Self::Withheld(sqlx::Decode::<Postgres>::decode(value)?)),
                }
            }
        }
    };
}

decode_decision!(InAppOutcome, "deliver" => Delivered, "none" => None);
decode_decision!(EmailOutcome, "immediate" => Immediate, "aggregated" => Aggregated, "none" => None);

/// The preference row that decided for a person and channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    scope: &'static str,
    event_type: &'static str,
    channel: &'static str,
    status: &'static str,
}

impl sqlx::Type<Postgres> for Rule {
    fn type_info() -> PgTypeInfo {
        <i32 as sqlx::Type<Postgres>>::type_info()
    }
}

/// From the rank of the row, by which resolve.sql finds the one that decides: a digit for each column.
impl<'r> sqlx::Decode<'r, Postgres> for Rule {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let rank = <i32 as sqlx::Decode<Postgres>>::decode(value)?;
        let column = |place: i32, values: &[&'static str]| {
            let value = usize::try_from(rank / place % 10 - 1).ok();
            let value = value.and_then(|value| values.get(value).copied());
            value.ok_or_else(|| format!("no preference row has the rank {rank}"))
        };
        Ok(Self {
            scope: column(1000, &["thread", "project", "global"])?,
            event_type: column(100, &["exact", "alias", "*"])?,
            channel: column(10, &["exact", "*"])?,
            status: column(1, &["muted", "digest", "immediate"])?,
        })
    }
}

impl Rule {
    pub const fn status(self) -> &'static str {
        self.status
    }

    /// Whether the row mutes.
    pub(super) fn is_mute(self) -> bool {
        self.status == "muted"
    }

    /// The row as text, for an event of the type and on the channel named.
    pub(super) fn text(self, event_type: &str, event_alias: Option<&str>, channel: &str) -> String {
        let Self { scope, status, .. } = self;
        let event_type = match self.event_type {
            "exact" => event_type,
            "alias" => event_alias.unwrap_or(event_type),
            any => any,
        };
        let channel = match self.channel {
            "exact" => channel,
            any => any,
        };
        format!("{scope} / {event_type} / {channel} = {status}")
    }
}
