//! What carries the messages of each channel.

use std::str::FromStr;

pub use crate::domain::channel::{Kind, UnknownName};

/// What carries the messages of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// A mail server.
    Smtp,
    /// The Resend API.
    Resend,
    /// The `SendGrid` API.
    SendGrid,
    /// The Twilio API.
    Twilio,
    /// Slack itself.
    Slack,
    /// Discord itself.
    Discord,
    /// The receiver's own program.
    Webhook,
}

impl Transport {
    /// Every one of them.
    pub const ALL: [Self; 7] = [
        Self::Smtp,
        Self::Resend,
        Self::SendGrid,
        Self::Twilio,
        Self::Slack,
        Self::Discord,
        Self::Webhook,
    ];

    /// Its name in tables, options and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Resend => "resend",
            Self::SendGrid => "sendgrid",
            Self::Twilio => "twilio",
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Webhook => "webhook",
        }
    }

    /// The channel it serves.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Smtp | Self::Resend | Self::SendGrid => Kind::Email,
            Self::Twilio => Kind::Sms,
            Self::Slack => Kind::Slack,
            Self::Discord => Kind::Discord,
            Self::Webhook => Kind::Webhook,
        }
    }
}

impl FromStr for Transport {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let known = Self::ALL.into_iter().find(|one| one.name() == name);
        known.ok_or(UnknownName(
            "smtp, resend, sendgrid, twilio, slack, discord, webhook",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for transport in Transport::ALL {
            assert_eq!(transport.name().parse(), Ok(transport));
            let UnknownName(names) = "fax".parse::<Transport>().unwrap_err();
            assert!(names.split(", ").any(|name| name == transport.name()));
            assert!(Kind::ALL.contains(&transport.kind()));
        }
    }
}
