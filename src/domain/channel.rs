//! The channels by which a message leaves the building.

use std::str::FromStr;

/// What a delivery goes through, as its recipient sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A mail.
    Email,
    /// A text message to a phone.
    Sms,
    /// A Slack incoming webhook.
    Slack,
    /// A Discord webhook.
    Discord,
    /// A signed request to a program.
    Webhook,
}

impl Kind {
    /// Every one of them.
    pub const ALL: [Self; 5] = [
        Self::Email,
        Self::Sms,
        Self::Slack,
        Self::Discord,
        Self::Webhook,
    ];

    /// Its name in tables, options and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Webhook => "webhook",
        }
    }
}

/// A name that is none of those known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {0}")]
pub struct UnknownName(pub(crate) &'static str);

impl FromStr for Kind {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or(UnknownName("email, sms, slack, discord, webhook"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            let UnknownName(names) = "fax".parse::<Kind>().unwrap_err();
            assert!(names.split(", ").any(|name| name == kind.name()));
        }
    }
}
