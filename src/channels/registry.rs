//! The registry: what a channel declares of itself, and what follows for all of them.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::destination::{Target, TargetSpec};
use super::{Channel, EndpointMessage, NotSent, Receipt, SecretUrl, Transports};

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
            pub const ALL: [Self; [$(stringify!($Name)),+].len()] = [$(Self::$Name),+];

            /// What the channel declares of itself.
            pub fn spec(self) -> &'static Spec {
                match self {
                    $(Self::$Name => const { &<$module::$Name as ChannelSpec>::SPEC }),+
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
            pub fn of(channel: Channel, text: &str) -> Result<Self, InvalidTarget> {
                match channel {
                    $(Channel::$Name => text.parse().map(Self::$Name)),+
                }
            }

            fn from_settings(channel: Channel, settings: Settings) -> Result<Self, InvalidTarget> {
                match channel {
                    $(Channel::$Name => Target::from_settings(settings).map(Self::$Name)),+
                }
            }

            fn to_settings(&self) -> Settings {
                match self {
                    $(Self::$Name(target) => Target::settings(target)),+
                }
            }

            pub fn channel(&self) -> Channel {
                match self {
                    $(Self::$Name(_) => Channel::$Name),+
                }
            }

            /// Its address on the web, if it has one.
            pub fn url(&self) -> Option<&url::Url> {
                match self {
                    $(Self::$Name(target) => Target::url(target)),+
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
                        $module::$Name::attempt(target, transports, message, now).await
                    })+
                }
            }
        }

        /// Redacted, for people.
        impl std::fmt::Display for Destination {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$Name(target) => target.fmt(f)),+
                }
            }
        }
    };
}

/// A channel, as the rest of the program knows it.
pub trait ChannelSpec {
    /// Where a message can go.
    type Target: Target;

    const SPEC: Spec;

    /// One attempt, which starts at `now`.
    fn attempt(
        target: &Self::Target,
        transports: &Transports<'_>,
        message: &EndpointMessage<'_>,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Receipt, NotSent>> + Send;
}

/// What a channel declares of itself.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Its name in tables, options and metrics.
    pub name: &'static str,
    /// What its messages are called.
    pub messages: &'static str,
    pub target: TargetSpec,
    pub sent_by: SentBy,
    /// When a failed attempt is repeated.
    pub retry: Retry,
    /// What happens to a message that may have arrived, unless the operator decides otherwise.
    pub uncertain: Uncertain,
    /// A target takes one message in this time.
    pub pace: Option<Duration>,
    /// What names endpoints without a row.
    pub route: Option<RouteVariables>,
    /// The service's own domains. A webhook elsewhere is worth a note.
    pub domains: &'static [&'static str],
}

impl Spec {
    /// A room of a chat, reached by a webhook.
    pub(super) const fn chat(name: &'static str, messages: &'static str) -> Self {
        Self {
            name,
            messages,
            target: SecretUrl::SPEC,
            sent_by: SentBy::Endpoint,
            retry: Retry::Eager,
            // Everybody in the room would see it twice.
            uncertain: Uncertain::Hold,
            pace: None,
            route: None,
            domains: &[],
        }
    }
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

impl Channel {
    /// Its name in tables, options and metrics.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// Every name, for a sentence: `email, sms, …`.
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Whether one target stands for all recipients. It has the channel's name.
    pub fn is_shared(self) -> bool {
        matches!(self.spec().sent_by, SentBy::Account { .. })
    }
}

/// A name that no channel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {}", Channel::names())]
pub struct UnknownChannel;

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

    use secrecy::ExposeSecret as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::channels::samples::message;
    use crate::channels::{AttemptOutcome, Destination, Outgoing, OutgoingSettings, TlsRoots};

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

    #[test]
    fn every_target_survives_its_settings_and_is_shown_redacted() {
        for channel in Channel::ALL {
            let example = channel.spec().target.example;
            let destination = Destination::of(channel, example).expect(example);
            assert_eq!(destination.channel(), channel);
            let settings = destination.settings();
            let again = Destination::parse(channel, &settings).expect("settings");
            assert_eq!(again.settings().expose_secret(), settings.expose_secret());
            assert!(settings.expose_secret().contains(example));
            for shown in [destination.to_string(), format!("{destination:?}")] {
                assert!(!shown.contains(example), "{shown}");
            }
        }
    }

    /// Answers one request, and returns it.
    async fn answer(listener: &TcpListener, status: u16) -> String {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = String::new();
        let mut part = [0; 4_096];
        loop {
            let size = stream.read(&mut part).await.expect("a request");
            request.push_str(&String::from_utf8_lossy(&part[..size]));
            let (head, body) = request.split_once("\r\n\r\n").unwrap_or_default();
            if head.contains(&format!("content-length: {}", body.len())) {
                break;
            }
        }
        let response = format!("HTTP/1.1 {status} -\r\ncontent-length: 0\r\n\r\n");
        let written = stream.write_all(response.as_bytes()).await;
        written.expect("written");
        request
    }

    #[tokio::test]
    async fn every_channel_without_an_account_posts_once_and_classifies_the_answer() {
        let mut settings = OutgoingSettings::new(TlsRoots::default());
        settings.policy.plain_http = true;
        settings.policy.allowed = vec!["127.0.0.0/8".parse().expect("a network")];
        let transports = Transports {
            outgoing: &Outgoing::new(settings).expect("a client"),
            email: None,
            twilio: None,
            app_url: None,
        };
        let message = EndpointMessage {
            key: "k".to_owned(),
            event_type: "payment_failed",
            occurred_at: DateTime::UNIX_EPOCH,
            message: &message(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/T0p", listener.local_addr().expect("an address"));
        let posting = Channel::ALL.into_iter().filter(|it| !it.is_shared());
        for channel in posting {
            let destination = Destination::of(channel, &url).expect("a target");
            for (status, outcome) in [
                (200, None),
                (429, Some(AttemptOutcome::Throttled { after: None })),
                (503, Some(AttemptOutcome::Retry { after: None })),
            ] {
                let sending = destination.send(&transports, &message, DateTime::UNIX_EPOCH);
                let (sent, request) = tokio::join!(sending, answer(&listener, status));
                for part in [
                    "POST /T0p",
                    "\ncontent-type: application/json\r",
                    "Payment failed",
                ] {
                    assert!(request.contains(part), "{request}");
                }
                match sent {
                    Ok(_) => assert_eq!(outcome, None),
                    Err(NotSent::Failed(error)) => assert_eq!(Some(error.outcome), outcome),
                    Err(error) => panic!("{channel:?}: {error}"),
                }
            }
        }
    }
}
