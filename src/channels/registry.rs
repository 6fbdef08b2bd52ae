//! The registry: what a channel declares of itself, and what follows for all of them.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::destination::Target;
use super::{Channel, EndpointMessage, NotSent, Receipt, Transports};

/// Declares the channels: their files, [`Channel`], and [`Destination`](super::Destination).
macro_rules! channels {
    ($($module:ident::$Name:ident),+ $(,)?) => {
        $(pub mod $module;)+

        /// What a delivery goes through, as its recipient sees it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Channel {
            $(#[doc = stringify!($Name)] $Name),+
        }

        impl Channel {
            /// Every one of them.
            pub const ALL: [Self; [$(stringify!($Name)),+].len()] = [$(Self::$Name),+];

            /// What the channel declares of itself.
            #[must_use]
            pub fn spec(self) -> &'static Spec {
                match self {
                    $(Self::$Name => const { &Spec::of::<$module::$Name>() }),+
                }
            }
        }

        /// A target of one of the channels. Printing it shows no secret.
        #[derive(Debug, Clone)]
        pub enum Destination {
            $(#[doc = stringify!($Name)] $Name(<$module::$Name as ChannelSpec>::Target)),+
        }

        impl Destination {
            /// A target that takes no more than one text.
            pub fn of(channel: Channel, text: &str) -> Result<Self, InvalidSettings> {
                Ok(match channel {
                    $(Channel::$Name => Self::$Name(destination::Target::from_text(text)?)),+
                })
            }

            fn from_settings(
                channel: Channel,
                settings: destination::Settings,
            ) -> Result<Self, InvalidSettings> {
                Ok(match channel {
                    $(Channel::$Name => Self::$Name(destination::Target::from_settings(settings)?)),+
                })
            }

            fn to_settings(&self) -> destination::Settings {
                match self {
                    $(Self::$Name(target) => destination::Target::settings(target)),+
                }
            }

            /// The channel.
            #[must_use]
            pub fn channel(&self) -> Channel {
                match self {
                    $(Self::$Name(_) => Channel::$Name),+
                }
            }

            /// Its address on the web, if it has one.
            #[must_use]
            pub fn url(&self) -> Option<&url::Url> {
                match self {
                    $(Self::$Name(target) => destination::Target::url(target)),+
                }
            }

            /// One attempt, which starts at `now`.
            pub async fn send(
                &self,
                transports: &Transports<'_>,
                message: &EndpointMessage<'_>,
                now: chrono::DateTime<chrono::Utc>,
            ) -> Result<Receipt, NotSent> {
                match self {
                    $(Self::$Name(target) => {
                        <$module::$Name as ChannelSpec>::send(target, transports, message, now).await
                    })+
                }
            }
        }

        /// Redacted, for people.
        impl std::fmt::Display for Destination {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$Name(target) => std::fmt::Display::fmt(target, f)),+
                }
            }
        }
    };
}

/// What there is to know of a channel.
pub trait ChannelSpec {
    /// Where a message can go.
    type Target: Target;

    /// Its name in tables, options and metrics.
    const NAME: &'static str;
    /// What its messages are called.
    const MESSAGES: &'static str;
    /// What sends its messages.
    const SENT_BY: SentBy = SentBy::Endpoint;
    /// When a failed attempt is repeated.
    const RETRY: Retry = Retry::Eager;
    /// What happens to a message that may have arrived, unless the operator decides otherwise.
    const UNCERTAIN: Uncertain;
    /// A target takes one message in this time.
    const PACE: Option<Duration> = None;
    /// What names endpoints without a row.
    const ROUTE: Option<RouteVariables> = None;
    /// The service's own domains. A webhook elsewhere is worth a note.
    const DOMAINS: &'static [&'static str] = &[];

    /// One attempt, which starts at `now`.
    fn send(
        target: &Self::Target,
        transports: &Transports<'_>,
        message: &EndpointMessage<'_>,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Receipt, NotSent>> + Send;
}

/// What sends the messages of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentBy {
    /// The channel itself. Each endpoint is paced and paused by itself.
    Endpoint,
    /// A server or account of this installation, which is paced and paused as one for all
    /// recipients.
    Account {
        /// What it is, by what configures it.
        variables: &'static str,
        /// The transports there are.
        transports: &'static [&'static str],
    },
}

/// Which of the two schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// `NOTIFY_DELIVERY_RETRY_SCHEDULE`: minutes to a day.
    Patient,
    /// `NOTIFY_DELIVERY_CHAT_RETRY_SCHEDULE`: seconds to hours.
    Eager,
}

/// What happens to a message that may have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncertain {
    /// A person decides: a repetition is seen, or costs money.
    Hold,
    /// It is sent again, under the same identifier.
    Resend,
}

/// The variables that make routes: endpoints without a row, global, for all operator events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteVariables {
    /// Says where to.
    pub address: &'static str,
    /// Switches it on and off.
    pub switch: &'static str,
    /// Whether there may be several, separated by commas.
    pub is_list: bool,
}

/// A [`ChannelSpec`] as a value.
#[derive(Debug)]
pub struct Spec {
    /// See [`ChannelSpec::NAME`], and so on for the others.
    pub name: &'static str,
    pub messages: &'static str,
    pub sent_by: SentBy,
    pub retry: Retry,
    pub uncertain: Uncertain,
    pub pace: Option<Duration>,
    pub route: Option<RouteVariables>,
    pub domains: &'static [&'static str],
    /// The option of `endpoint add` that names a target.
    pub option: &'static str,
    /// A target, for people.
    pub target: &'static str,
}

impl Spec {
    pub(super) const fn of<C: ChannelSpec>() -> Self {
        Self {
            name: C::NAME,
            messages: C::MESSAGES,
            sent_by: C::SENT_BY,
            retry: C::RETRY,
            uncertain: C::UNCERTAIN,
            pace: C::PACE,
            route: C::ROUTE,
            domains: C::DOMAINS,
            option: C::Target::OPTION,
            target: C::Target::WHAT,
        }
    }
}

impl Channel {
    /// Its name in tables, options and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// Every name, for a sentence: `email, sms, …`.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Whether one target stands for all recipients. It has the channel's name.
    #[must_use]
    pub fn is_shared(self) -> bool {
        matches!(self.spec().sent_by, SentBy::Account { .. })
    }
}

/// A name that no channel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownChannel;

impl std::fmt::Display for UnknownChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "must be one of {}", Channel::names())
    }
}

impl std::error::Error for UnknownChannel {}

impl FromStr for Channel {
    type Err = UnknownChannel;

    fn from_str(name: &str) -> Result<Self, UnknownChannel> {
        let known = Self::ALL.into_iter().find(|channel| channel.name() == name);
        known.ok_or(UnknownChannel)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_channel_has_a_name_of_its_own_that_the_schema_takes() {
        let names: HashSet<_> = Channel::ALL.into_iter().map(Channel::name).collect();
        assert_eq!(names.len(), Channel::ALL.len());
        for channel in Channel::ALL {
            assert_eq!(channel.name().parse(), Ok(channel));
            let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            assert!(channel.name().starts_with(|c: char| c.is_ascii_lowercase()));
            assert!(channel.name().bytes().all(fits) && channel.name().len() <= 40);
        }
        assert_eq!("fax".parse::<Channel>(), Err(UnknownChannel));
    }
}
