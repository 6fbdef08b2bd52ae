//! Decisions per candidate and channel, and the rules behind them.

use serde::Serialize;
use sqlx::Postgres;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};

/// What happens, or would happen, in the application or by e-mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// In the application.
    Delivered,
    /// Counted in a notification that is still unread.
    Merged,
    /// By e-mail, to go out on its own.
    Immediate,
    /// By e-mail, for a digest.
    Aggregated,
    /// The event has nothing for this channel.
    None,
    Withheld(Reason),
}

/// What happens, or would happen, to an announcement at an endpoint or phone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type)]
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

/// Why a candidate is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type)]
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

/// What the preference row says that decides for a person and channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum PreferenceStatus {
    Muted,
    Digest,
    Immediate,
}

impl Outcome {
    pub(crate) const fn is_shown(self) -> bool {
        matches!(self, Self::Delivered | Self::Merged)
    }

    pub(crate) const fn is_mailed(self) -> bool {
        matches!(self, Self::Immediate | Self::Aggregated)
    }

    pub(super) const fn reason(self) -> Option<Reason> {
        match self {
            Self::Withheld(reason) => Some(reason),
            _ => None,
        }
    }

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Merged => "merged into an unread one",
            Self::Immediate => "immediate",
            Self::Aggregated => "digest",
            Self::None => "none for this event",
            Self::Withheld(reason) => reason.texts().0,
        }
    }
}

impl EndpointOutcome {
    /// Whether it is suppressed by a dedup key.
    pub(super) const fn is_duplicate(self) -> bool {
        matches!(self, Self::DuplicateAlert | Self::Duplicate)
    }

    pub(crate) const fn words(self) -> &'static str {
        self.texts().0
    }

    /// What is decided, and by which rule.
    pub(super) const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Queued => ("queued", "scope and event types of the endpoint"),
            Self::AlreadyQueued => ("already queued", "scope and event types of the endpoint"),
            Self::Disabled => ("disabled", "the endpoint is disabled"),
            Self::OtherChannel => ("another channel was chosen", "the event's channels"),
            Self::DuplicateAlert => (
                "duplicate alert of that day",
                "once per alert and day (notification_delivery_guards)",
            ),
            Self::Duplicate => (
                "same content within 24 hours",
                "the same content (notification_delivery_guards)",
            ),
        }
    }
}

impl Reason {
    /// What is decided, and by which rule.
    pub(super) const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Actor => ("skipped: actor", "recipient is the actor"),
            Self::UnknownPerson => ("skipped: unknown person", "no row in profiles"),
            Self::UnknownRecipient => (
                "skipped: missing in a table that user_id refers to",
                "a foreign key on user_id",
            ),
            Self::NotAMember => ("skipped: not a member", "membership of the audience"),
            Self::NoAccess => ("skipped: no access", "can_view"),
            Self::NotifiedOnce => (
                "skipped: notified once before",
                "once per person (notification_once)",
            ),
            Self::Muted => ("muted", "a preference row"),
            Self::MutedInApp => (
                "muted in the application",
                "an in-app mute covers e-mail (NOTIFY_MUTE_COVERS_EMAIL)",
            ),
            Self::AlreadyNotified => ("already notified", "one row per event and person"),
        }
    }
}

impl sqlx::Type<Postgres> for Outcome {
    fn type_info() -> PgTypeInfo {
        <str as sqlx::Type<Postgres>>::type_info()
    }
}

impl<'r> sqlx::Decode<'r, Postgres> for Outcome {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(match value.as_str()? {
            "deliver" => Self::Delivered,
            "immediate" => Self::Immediate,
            "aggregated" => Self::Aggregated,
            "none" => Self::None,
            _ => Self::Withheld(sqlx::Decode::<Postgres>::decode(value)?),
        })
    }
}
