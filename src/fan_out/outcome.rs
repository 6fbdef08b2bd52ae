//! Decisions per candidate and channel, and the rules behind them.

use serde::Serialize;

/// What happens, or would happen, in the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InAppOutcome {
    /// A new notification.
    Delivered,
    /// Counted in a notification that is still unread.
    Merged,
    /// The event has no in-app notification.
    None,
    /// Not delivered, for the reason given.
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
    /// Not queued, for the reason given.
    Withheld(Reason),
}

/// What happens, or would happen, to an announcement at an endpoint or phone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointOutcome {
    /// Queued, to be sent.
    Queued,
    /// Queued before, for this event.
    AlreadyQueued,
    /// The endpoint is disabled.
    Disabled,
    /// The event chooses other channels.
    OtherChannel,
    /// This alert was queued for it before on the same day.
    DuplicateAlert,
    /// The same content was queued for it within 24 hours.
    Duplicate,
}

impl EndpointOutcome {
    pub(super) fn from_sql(code: &str) -> Self {
        match code {
            "queued" => Self::Queued,
            "already_queued" => Self::AlreadyQueued,
            "disabled" => Self::Disabled,
            "other_channel" => Self::OtherChannel,
            "duplicate_alert" => Self::DuplicateAlert,
            _ => Self::Duplicate,
        }
    }

    /// Whether it is suppressed by a dedup key.
    #[must_use]
    pub const fn is_duplicate(self) -> bool {
        matches!(self, Self::DuplicateAlert | Self::Duplicate)
    }

    /// As text.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::AlreadyQueued => "already queued",
            Self::Disabled => "disabled",
            Self::OtherChannel => "another channel was chosen",
            Self::DuplicateAlert => "duplicate alert of that day",
            Self::Duplicate => "same content within 24 hours",
        }
    }

    /// The rule behind it.
    #[must_use]
    pub const fn rule(self) -> &'static str {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The candidate is the actor.
    Actor,
    /// Has no row in `profiles`.
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
    fn from_sql(code: &str) -> Self {
        match code {
            "actor" => Self::Actor,
            "unknown_person" => Self::UnknownPerson,
            "unknown_recipient" => Self::UnknownRecipient,
            "not_a_member" => Self::NotAMember,
            "no_access" => Self::NoAccess,
            "notified_once" => Self::NotifiedOnce,
            "muted" => Self::Muted,
            "muted_in_app" => Self::MutedInApp,
            _ => Self::AlreadyNotified,
        }
    }

    /// The rule behind it.
    #[must_use]
    pub const fn rule(self) -> &'static str {
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

    /// As text.
    #[must_use]
    pub const fn words(self) -> &'static str {
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
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Withheld(reason) => Some(reason),
            _ => None,
        }
    }

    pub(super) fn from_sql(code: &str, merged: bool) -> Self {
        match code {
            "deliver" if merged => Self::Merged,
            "deliver" => Self::Delivered,
            "none" => Self::None,
            reason => Self::Withheld(Reason::from_sql(reason)),
        }
    }

    /// As text.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Merged => "merged into an unread one",
            Self::None => "none for this event",
            Self::Withheld(reason) => reason.words(),
        }
    }
}

impl EmailOutcome {
    /// Why the candidate is skipped.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Withheld(reason) => Some(reason),
            _ => None,
        }
    }

    pub(super) fn from_sql(code: &str) -> Self {
        match code {
            "immediate" => Self::Immediate,
            "aggregated" => Self::Aggregated,
            "none" => Self::None,
            reason => Self::Withheld(Reason::from_sql(reason)),
        }
    }

    /// As text.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::Aggregated => "digest",
            Self::None => "none for this event",
            Self::Withheld(reason) => reason.words(),
        }
    }
}

/// The preference row that decided for a person and channel, as the resolving query encodes it:
/// four digits for scope, event type, channel and status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule(pub i32);

impl Rule {
    /// The row's status.
    #[must_use]
    pub const fn status(self) -> &'static str {
        match self.0 % 10 {
            1 => "muted",
            2 => "digest",
            _ => "immediate",
        }
    }

    /// The row's scope.
    #[must_use]
    pub const fn scope(self) -> &'static str {
        match self.0 / 1000 {
            1 => "thread",
            2 => "project",
            _ => "global",
        }
    }

    /// The row as text, for an event of the type and on the channel named.
    #[must_use]
    pub fn words(self, event_type: &str, event_alias: Option<&str>, channel: &str) -> String {
        let event_type = match self.0 / 100 % 10 {
            1 => event_type,
            2 => event_alias.unwrap_or(event_type),
            _ => "*",
        };
        let channel = if self.0 / 10 % 10 == 1 { channel } else { "*" };
        format!(
            "{} / {event_type} / {channel} = {}",
            self.scope(),
            self.status()
        )
    }
}
