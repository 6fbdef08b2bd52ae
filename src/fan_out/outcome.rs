//! What becomes of a candidate recipient on each channel, and which rule decided.

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

/// What happens, or would happen, by mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailOutcome {
    /// Queued, to go out on its own.
    Immediate,
    /// Queued for a digest.
    Aggregated,
    /// The event has no mail.
    None,
    /// Not queued, for the reason given.
    Withheld(Reason),
}

/// What happens, or would happen, at an endpoint or on a phone that an announcement reaches.
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
    /// It has been told of the same alert on the same day.
    ToldThatDay,
    /// It has been told the same within 24 hours.
    ToldTheSame,
}

impl EndpointOutcome {
    pub(super) fn from_sql(code: &str) -> Self {
        match code {
            "queued" => Self::Queued,
            "already_queued" => Self::AlreadyQueued,
            "disabled" => Self::Disabled,
            "other_channel" => Self::OtherChannel,
            "told_that_day" => Self::ToldThatDay,
            _ => Self::ToldTheSame,
        }
    }

    /// Whether it is held off because it was told before.
    #[must_use]
    pub const fn is_duplicate(self) -> bool {
        matches!(self, Self::ToldThatDay | Self::ToldTheSame)
    }

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::AlreadyQueued => "already queued",
            Self::Disabled => "disabled",
            Self::OtherChannel => "another channel was chosen",
            Self::ToldThatDay => "told of this alert that day",
            Self::ToldTheSame => "told the same within 24 hours",
        }
    }

    /// The rule behind it.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Queued | Self::AlreadyQueued => "scope and event types of the endpoint",
            Self::Disabled => "the endpoint is disabled",
            Self::OtherChannel => "the event's channels",
            Self::ToldThatDay => "once per alert and day (notification_delivery_guards)",
            Self::ToldTheSame => "the same content (notification_delivery_guards)",
        }
    }
}

/// Why somebody is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It was his own act.
    Actor,
    /// There is no such person.
    UnknownPerson,
    /// A foreign key on `user_id` would refuse the row.
    UnknownRecipient,
    /// Not, or no longer, one of those it concerns.
    NotAMember,
    /// May not view the document.
    MayNotView,
    /// Has been told once, and is to be told once only.
    ToldOnce,
    /// A preference says so.
    Muted,
    /// A preference mutes the application, and that covers e-mail.
    MutedInApp,
    /// This event has reached him before.
    AlreadyNotified,
}

impl Reason {
    fn from_sql(code: &str) -> Self {
        match code {
            "actor" => Self::Actor,
            "unknown_person" => Self::UnknownPerson,
            "unknown_recipient" => Self::UnknownRecipient,
            "not_a_member" => Self::NotAMember,
            "may_not_view" => Self::MayNotView,
            "told_once" => Self::ToldOnce,
            "muted" => Self::Muted,
            "muted_in_app" => Self::MutedInApp,
            _ => Self::AlreadyNotified,
        }
    }

    /// The rule behind it.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Actor => "the actor never hears of his own act",
            Self::UnknownPerson => "no row in profiles",
            Self::UnknownRecipient => "a foreign key on user_id",
            Self::NotAMember => "the audience's membership",
            Self::MayNotView => "can_view",
            Self::ToldOnce => "once per person (notification_once)",
            Self::Muted => "a preference row",
            Self::MutedInApp => "an in-app mute covers e-mail (NOTIFY_MUTE_COVERS_EMAIL)",
            Self::AlreadyNotified => "one row per event and person",
        }
    }

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Actor => "his own act",
            Self::UnknownPerson => "no such person",
            Self::UnknownRecipient => "missing in a table that user_id refers to",
            Self::NotAMember => "not one of those it concerns",
            Self::MayNotView => "may not view the document",
            Self::ToldOnce => "told once before",
            Self::Muted => "muted",
            Self::MutedInApp => "muted in the application",
            Self::AlreadyNotified => "already notified",
        }
    }
}

impl InAppOutcome {
    /// Why nothing is delivered, where something could have been.
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

    /// In words.
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
    /// Why nothing is delivered, where something could have been.
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

    /// In words.
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

    /// The row in words, for an event of the type and on the channel named.
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
