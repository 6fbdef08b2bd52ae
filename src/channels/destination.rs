//! Targets of channels, and how the settings of an endpoint store them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use reqwest::header::HeaderName;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::http::{Policy, Refused};
use super::{Channel, Destination};

/// Where a channel's messages can go. Displaying and printing it shows no secret.
pub trait Target: FromStr<Err = InvalidTarget> + fmt::Display + Sync {
    fn from_settings(settings: Settings) -> Result<Self, InvalidTarget>;

    fn settings(&self) -> Settings;

    fn url(&self) -> Option<&Url> {
        None
    }
}

/// What people are shown of the targets of a channel.
#[derive(Debug, Clone, Copy)]
pub struct TargetSpec {
    /// The option of `endpoint add` that names one.
    pub option: &'static str,
    pub what: &'static str,
    pub example: &'static str,
}

/// Text or settings that make no target. The error repeats nothing of them but the names of headers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    #[error("not settings of an endpoint")]
    Malformed,
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("not an address, such as https://hooks.example.com/…")]
    Url,
    #[error("not a mail address, such as ada@example.com or Ada <ada@example.com>")]
    Mailbox,
    #[error("a phone number has to be in the international form, such as +4915112345678")]
    PhoneNumber,
    #[error("a signing secret is whsec_ and 24 to 64 bytes in base64")]
    Secret,
    #[error("must be POST or PUT")]
    Method,
    #[error("{0:?} is no name of a header")]
    HeaderName(String),
    #[error("the value of the header {0} is not printable ASCII")]
    HeaderValue(HeaderName),
    #[error("the header {0} is set by the sender")]
    ReservedHeader(HeaderName),
    #[error("an endpoint may have 20 headers of its own")]
    TooManyHeaders,
}

/// The column `settings`, before it is encrypted.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) number: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) secrets: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) method: Option<String>,
}

/// The target that one of the settings is.
pub(super) fn required<T>(name: &'static str, setting: Option<String>) -> Result<T, InvalidTarget>
where
    T: FromStr<Err = InvalidTarget>,
{
    setting.ok_or(InvalidTarget::Missing(name))?.parse()
}

impl Destination {
    /// Reads decrypted settings.
    pub fn parse(channel: Channel, settings: &SecretString) -> Result<Self, InvalidTarget> {
        // Serde's error may repeat a part of the text.
        let settings = serde_json::from_str(settings.expose_secret());
        Self::from_settings(channel, settings.map_err(|_| InvalidTarget::Malformed)?)
    }

    /// As stored, before encryption.
    pub fn settings(&self) -> SecretString {
        serde_json::to_string(&self.to_settings())
            .unwrap_or_else(|_| unreachable!("texts are JSON"))
            .into()
    }

    /// Whether a request may go there, as far as the written address tells.
    pub fn check(&self, policy: &Policy) -> Result<(), Refused> {
        self.url().map_or(Ok(()), |url| policy.check(url))
    }

    /// Notes a chat's webhook on a host that is not the chat's. Other services accept the same
    /// requests, so it is not refused.
    pub fn note(&self) -> Option<String> {
        let spec = self.channel().spec();
        let host = self.url()?.host_str()?;
        let is_of = |domain: &&str| {
            let before = host.strip_suffix(*domain);
            before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        (!spec.domains.is_empty() && !spec.domains.iter().any(is_of)).then(|| {
            let chat = spec.name;
            format!("{host} is not a host of {chat}; it has to accept the webhooks of {chat}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVALID: &str = r#"
        slack Hidden => not settings of an endpoint
        slack {"url":7} => not settings of an endpoint
        slack {"address":"a@b.c"} => url is missing
        slack {"url":"Hidden"} => not an address, such as https://hooks.example.com/…
        email {} => address is missing
        email {"address":"Hidden"} => not a mail address, such as ada@example.com or Ada <ada@example.com>
        sms {"number":"0151"} => a phone number has to be in the international form, such as +4915112345678
        webhook {"url":"https://example.com","secrets":["Hidden"]} => a signing secret is whsec_ and 24 to 64 bytes in base64
        webhook {"url":"https://example.com","headers":{"host":"Hidden"}} => the header host is set by the sender
        webhook {"url":"https://example.com","method":"GET"} => must be POST or PUT
    "#;

    #[test]
    fn invalid_settings_are_refused_without_repeating_them() {
        for line in INVALID.trim().lines() {
            let (given, error) = line.split_once(" => ").expect("an arrow");
            let (channel, settings) = given.trim().split_once(' ').expect("a space");
            let channel = channel.parse().expect("a channel");
            let refused = Destination::parse(channel, &settings.into()).map(drop);
            assert_eq!(
                refused.map_err(|error| error.to_string()),
                Err(error.to_owned())
            );
        }
    }

    #[test]
    fn foreign_hosts_are_noted() {
        for (channel, host, is_noted) in [
            (Channel::Slack, "hooks.slack.com", false),
            (Channel::Slack, "hooks.slack-gov.com", false),
            (Channel::Slack, "chat.example.com", true),
            (Channel::Discord, "discord.com", false),
            (Channel::Discord, "notdiscord.com", true),
            (Channel::Webhook, "example.com", false),
        ] {
            let destination = Destination::of(channel, &format!("https://{host}/x"));
            let note = destination.expect(host).note();
            assert_eq!(note.is_some(), is_noted, "{host}");
        }
    }
}
