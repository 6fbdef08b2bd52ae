//! Targets of channels, and how the settings of an endpoint store them.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::http::{Policy, Refused};
use super::mailbox::InvalidMailbox;
use super::phone::InvalidPhoneNumber;
use super::signature::InvalidSecret;
use super::webhook::UnknownMethod;
use super::{Channel, Destination, InvalidHeader, Mailbox, PhoneNumber, SecretUrl};

/// Where a channel's messages can go. Displaying and printing it shows no secret.
pub trait Target: Clone + fmt::Display + fmt::Debug + Send + Sync {
    /// The option of `endpoint add` that names it.
    const OPTION: &'static str;
    /// What it is, for people.
    const WHAT: &'static str;
    const EXAMPLE: &'static str;

    fn from_text(text: &str) -> Result<Self, InvalidSettings>;

    fn from_settings(settings: Settings) -> Result<Self, InvalidSettings>;

    fn settings(&self) -> Settings;

    fn url(&self) -> Option<&Url> {
        None
    }
}

/// Settings that make no destination. The text repeats nothing of them but the names of headers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    #[error("not settings of an endpoint")]
    Malformed,
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("not an address, such as https://hooks.example.com/…")]
    Url,
    #[error(transparent)]
    Address(#[from] InvalidMailbox),
    #[error(transparent)]
    Number(#[from] InvalidPhoneNumber),
    #[error(transparent)]
    Secret(#[from] InvalidSecret),
    #[error(transparent)]
    Header(#[from] InvalidHeader),
    #[error(transparent)]
    Method(#[from] UnknownMethod),
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

impl Target for SecretUrl {
    const OPTION: &'static str = "--url";
    const WHAT: &'static str = "webhook URL";
    const EXAMPLE: &'static str = "https://hooks.example.com/T0p-secret";

    fn from_text(text: &str) -> Result<Self, InvalidSettings> {
        text.parse().map_err(|_| InvalidSettings::Url)
    }

    fn from_settings(settings: Settings) -> Result<Self, InvalidSettings> {
        Self::from_text(&settings.url.ok_or(InvalidSettings::Missing("url"))?)
    }

    fn settings(&self) -> Settings {
        Settings {
            url: Some(self.expose().to_string()),
            ..Settings::default()
        }
    }

    fn url(&self) -> Option<&Url> {
        Some(self.expose())
    }
}

impl Target for Mailbox {
    const OPTION: &'static str = "--to";
    const WHAT: &'static str = "e-mail address";
    const EXAMPLE: &'static str = "ada@example.com";

    fn from_text(text: &str) -> Result<Self, InvalidSettings> {
        Ok(text.parse()?)
    }

    fn from_settings(settings: Settings) -> Result<Self, InvalidSettings> {
        Self::from_text(
            &settings
                .address
                .ok_or(InvalidSettings::Missing("address"))?,
        )
    }

    fn settings(&self) -> Settings {
        Settings {
            address: Some(match self.name() {
                Some(name) => format!("{name} <{}>", self.address()),
                None => self.address().to_owned(),
            }),
            ..Settings::default()
        }
    }
}

impl Target for PhoneNumber {
    const OPTION: &'static str = "--to";
    const WHAT: &'static str = "phone number";
    const EXAMPLE: &'static str = "+15005550006";

    fn from_text(text: &str) -> Result<Self, InvalidSettings> {
        Ok(text.parse()?)
    }

    fn from_settings(settings: Settings) -> Result<Self, InvalidSettings> {
        Self::from_text(&settings.number.ok_or(InvalidSettings::Missing("number"))?)
    }

    fn settings(&self) -> Settings {
        Settings {
            number: Some(self.as_str().to_owned()),
            ..Settings::default()
        }
    }
}

impl Destination {
    /// Reads decrypted settings.
    pub fn parse(channel: Channel, settings: &SecretString) -> Result<Self, InvalidSettings> {
        // Serde's error may repeat a part of the text.
        let settings = serde_json::from_str(settings.expose_secret());
        Self::from_settings(channel, settings.map_err(|_| InvalidSettings::Malformed)?)
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
            host.strip_suffix(*domain)
                .is_some_and(|before| before.is_empty() || before.ends_with('.'))
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

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn parse(channel: Channel, settings: &str) -> Result<Destination, InvalidSettings> {
        Destination::parse(channel, &settings.into())
    }

    #[test]
    fn settings_round_trip_and_print_no_secret() {
        let webhook = format!(
            r#"{{"url":"https://example.com/Hidden?key=Hidden","secrets":["{SECRET}"],"headers":{{"authorization":"Bearer Hidden"}},"method":"PUT"}}"#
        );
        for (channel, settings, shown) in [
            (
                Channel::Slack,
                r#"{"url":"https://hooks.slack.com/services/Hidden"}"#,
                "https://hooks.slack.com/…",
            ),
            (
                Channel::Discord,
                r#"{"url":"https://discord.com/api/webhooks/1/Hidden"}"#,
                "https://discord.com/…",
            ),
            (Channel::Webhook, &webhook, "https://example.com/…"),
            (
                Channel::Email,
                r#"{"address":"Hidden <hidden@example.com>"}"#,
                "h…@example.com",
            ),
            (Channel::Sms, r#"{"number":"+4915112345678"}"#, "+49…78"),
        ] {
            let destination = parse(channel, settings).expect(settings);
            assert_eq!(destination.channel(), channel);
            assert_eq!(destination.settings().expose_secret(), settings);
            assert_eq!(destination.to_string(), shown);
            let printed = format!("{destination:?}");
            for hidden in ["Hidden", "hidden", &SECRET[6..], "1234"] {
                assert!(!printed.contains(hidden), "{printed}");
            }
        }
    }

    #[test]
    fn invalid_settings_are_refused_without_repeating_them() {
        let error =
            |channel, settings: &str| parse(channel, settings).expect_err(settings).to_string();
        insta::assert_snapshot!(error(Channel::Slack, "Hidden"), @"not settings of an endpoint");
        insta::assert_snapshot!(error(Channel::Slack, r#"{"url":7}"#), @"not settings of an endpoint");
        insta::assert_snapshot!(error(Channel::Slack, r#"{"address":"a@b.c"}"#), @"url is missing");
        insta::assert_snapshot!(error(Channel::Slack, r#"{"url":"Hidden"}"#), @"not an address, such as https://hooks.example.com/…");
        insta::assert_snapshot!(error(Channel::Email, "{}"), @"address is missing");
        insta::assert_snapshot!(error(Channel::Email, r#"{"address":"Hidden"}"#), @"not a mail address, such as ada@example.com or Ada <ada@example.com>");
        insta::assert_snapshot!(error(Channel::Sms, r#"{"number":"0151"}"#), @"a phone number has to be in the international form, such as +4915112345678");
        let webhook = |more: &str| {
            let settings = format!(r#"{{"url":"https://example.com",{more}}}"#);
            error(Channel::Webhook, &settings)
        };
        insta::assert_snapshot!(webhook(r#""secrets":["Hidden"]"#), @"a signing secret is whsec_ and 24 to 64 bytes in base64");
        insta::assert_snapshot!(webhook(r#""headers":{"host":"Hidden"}"#), @"the header host is set by the sender");
        insta::assert_snapshot!(webhook(r#""method":"GET""#), @"must be POST or PUT");
    }

    #[test]
    fn foreign_hosts_are_noted() {
        let note = |channel, url: &str| Destination::of(channel, url).expect(url).note();
        for (channel, url) in [
            (Channel::Slack, "https://hooks.slack.com/services/x"),
            (Channel::Slack, "https://hooks.slack-gov.com/services/x"),
            (Channel::Discord, "https://discord.com/api/webhooks/1/x"),
            (
                Channel::Discord,
                "https://canary.discord.com/api/webhooks/1/x",
            ),
            (Channel::Webhook, "https://example.com"),
            (Channel::Email, "a@example.com"),
        ] {
            assert_eq!(note(channel, url), None, "{url}");
        }
        insta::assert_snapshot!(note(Channel::Slack, "https://chat.example.com/x").expect("a note"), @"chat.example.com is not a host of slack; it has to accept the webhooks of slack");
        insta::assert_snapshot!(note(Channel::Discord, "https://notdiscord.com/x").expect("a note"), @"notdiscord.com is not a host of discord; it has to accept the webhooks of discord");
    }
}
