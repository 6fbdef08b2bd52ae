//! Where an endpoint's messages go, and how its row has it.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::channels::email::InvalidMailbox;
use crate::channels::outgoing::Refused;
use crate::channels::phone::InvalidPhoneNumber;
use crate::channels::signature::InvalidSecret;
use crate::channels::webhook::{
    ExtraHeaders, InvalidHeader, UnknownMethod, WebhookMethod, WebhookTarget,
};
use crate::channels::{Kind, Mailbox, PhoneNumber, Policy, SecretUrl};

/// A target of one of the channels. Printing it tells no secret.
#[derive(Debug, Clone)]
pub enum Destination {
    /// A Slack incoming webhook.
    Slack(SecretUrl),
    /// A Discord webhook.
    Discord(SecretUrl),
    /// A program that takes webhooks.
    Webhook(WebhookTarget),
    /// A mailbox.
    Email(Mailbox),
    /// A phone.
    Sms(PhoneNumber),
}

/// Settings that make no destination. It repeats nothing of them but the names of headers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// Not the JSON that is expected.
    #[error("not settings of an endpoint")]
    Malformed,
    /// What the channel can't do without.
    #[error("there is no {0}")]
    Missing(&'static str),
    /// The address is none.
    #[error("not an address, such as https://hooks.example.com/…")]
    Url,
    /// The mail address is none.
    #[error(transparent)]
    Address(#[from] InvalidMailbox),
    /// The number is none.
    #[error(transparent)]
    Number(#[from] InvalidPhoneNumber),
    /// A secret is none.
    #[error(transparent)]
    Secret(#[from] InvalidSecret),
    /// A header can't be sent.
    #[error(transparent)]
    Header(#[from] InvalidHeader),
    /// The method is not for webhooks.
    #[error(transparent)]
    Method(#[from] UnknownMethod),
}

/// The column `settings`, before it is encrypted.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
}

impl Destination {
    /// The target of a channel that needs no more than one text.
    pub fn of(kind: Kind, text: &str) -> Result<Self, InvalidSettings> {
        Ok(match kind {
            Kind::Slack => Self::Slack(url(text)?),
            Kind::Discord => Self::Discord(url(text)?),
            Kind::Webhook => Self::Webhook(WebhookTarget {
                url: url(text)?,
                secrets: Vec::new(),
                headers: ExtraHeaders::default(),
                method: WebhookMethod::default(),
            }),
            Kind::Email => Self::Email(text.parse()?),
            Kind::Sms => Self::Sms(text.parse()?),
        })
    }

    /// Reads settings that were opened.
    pub fn parse(kind: Kind, settings: &SecretString) -> Result<Self, InvalidSettings> {
        // What serde says of an error may hold a part of the text.
        let settings: Settings = serde_json::from_str(settings.expose_secret())
            .map_err(|_| InvalidSettings::Malformed)?;
        let (name, text) = match kind {
            Kind::Slack | Kind::Discord | Kind::Webhook => ("url", settings.url),
            Kind::Email => ("address", settings.address),
            Kind::Sms => ("number", settings.number),
        };
        let mut destination = Self::of(kind, &text.ok_or(InvalidSettings::Missing(name))?)?;
        if let Self::Webhook(target) = &mut destination {
            let secrets = settings.secrets.iter().map(|secret| secret.parse());
            target.secrets = secrets.collect::<Result<_, _>>()?;
            let headers = settings.headers.iter();
            target.headers = ExtraHeaders::new(
                headers.map(|(name, value)| (name.as_str(), value.as_str().into())),
            )?;
            if let Some(method) = settings.method {
                target.method = method.parse()?;
            }
        }
        Ok(destination)
    }

    /// As it is stored, before it is encrypted.
    #[must_use]
    pub fn settings(&self) -> SecretString {
        let settings = match self {
            Self::Slack(url) | Self::Discord(url) => Settings {
                url: Some(url.expose().to_string()),
                ..Settings::default()
            },
            Self::Webhook(target) => Settings {
                url: Some(target.url.expose().to_string()),
                secrets: target
                    .secrets
                    .iter()
                    .map(|secret| secret.reveal().to_string())
                    .collect(),
                headers: target
                    .headers
                    .expose()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
                method: Some(target.method.name().to_owned()),
                ..Settings::default()
            },
            Self::Email(mailbox) => Settings {
                address: Some(match mailbox.name() {
                    Some(name) => format!("{name} <{}>", mailbox.address()),
                    None => mailbox.address().to_owned(),
                }),
                ..Settings::default()
            },
            Self::Sms(number) => Settings {
                number: Some(number.as_str().to_owned()),
                ..Settings::default()
            },
        };
        serde_json::to_string(&settings)
            .unwrap_or_else(|_| unreachable!("texts are JSON"))
            .into()
    }

    /// The channel.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Slack(_) => Kind::Slack,
            Self::Discord(_) => Kind::Discord,
            Self::Webhook(_) => Kind::Webhook,
            Self::Email(_) => Kind::Email,
            Self::Sms(_) => Kind::Sms,
        }
    }

    /// Its address on the web, if it has one.
    #[must_use]
    pub fn url(&self) -> Option<&Url> {
        match self {
            Self::Slack(url) | Self::Discord(url) => Some(url.expose()),
            Self::Webhook(target) => Some(target.url.expose()),
            Self::Email(_) | Self::Sms(_) => None,
        }
    }

    /// Whether a request may go there, as far as the address as it is written tells.
    pub fn check(&self, policy: &Policy) -> Result<(), Refused> {
        self.url().map_or(Ok(()), |url| policy.check(url))
    }

    /// What to look at twice: a chat's webhook on a host that is not the chat's. There are others
    /// that understand the same, so it is not refused.
    #[must_use]
    pub fn oddity(&self) -> Option<String> {
        let known: &[&str] = match self {
            Self::Slack(_) => &["slack.com", "slack-gov.com"],
            Self::Discord(_) => &["discord.com", "discordapp.com"],
            Self::Webhook(_) | Self::Email(_) | Self::Sms(_) => return None,
        };
        let host = self.url()?.host_str()?;
        let is_of = |domain: &&str| {
            host.strip_suffix(*domain)
                .is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        (!known.iter().any(is_of)).then(|| {
            let chat = self.kind().name();
            format!("{host} is no host of {chat}; it has to understand the webhooks of {chat}")
        })
    }
}

/// For people: host, masked address or masked number.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slack(url) | Self::Discord(url) => url.fmt(f),
            Self::Webhook(target) => target.url.fmt(f),
            Self::Email(mailbox) => fmt::Debug::fmt(mailbox, f),
            Self::Sms(number) => fmt::Debug::fmt(number, f),
        }
    }
}

fn url(text: &str) -> Result<SecretUrl, InvalidSettings> {
    text.parse().map_err(|_| InvalidSettings::Url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn parse(kind: Kind, settings: &str) -> Result<Destination, InvalidSettings> {
        Destination::parse(kind, &settings.into())
    }

    #[test]
    fn settings_come_back_and_print_nothing() {
        let webhook = format!(
            r#"{{"url":"https://example.com/Hidden?key=Hidden","secrets":["{SECRET}"],"headers":{{"authorization":"Bearer Hidden"}},"method":"PUT"}}"#
        );
        for (kind, settings, shown) in [
            (
                Kind::Slack,
                r#"{"url":"https://hooks.slack.com/services/Hidden"}"#,
                "https://hooks.slack.com/…",
            ),
            (
                Kind::Discord,
                r#"{"url":"https://discord.com/api/webhooks/1/Hidden"}"#,
                "https://discord.com/…",
            ),
            (Kind::Webhook, &webhook, "https://example.com/…"),
            (
                Kind::Email,
                r#"{"address":"Hidden <hidden@example.com>"}"#,
                "h…@example.com",
            ),
            (Kind::Sms, r#"{"number":"+4915112345678"}"#, "+49…78"),
        ] {
            let destination = parse(kind, settings).expect(settings);
            assert_eq!(destination.kind(), kind);
            assert_eq!(destination.settings().expose_secret(), settings);
            assert_eq!(destination.to_string(), shown);
            let printed = format!("{destination:?}");
            for hidden in ["Hidden", "hidden", &SECRET[6..], "1234"] {
                assert!(!printed.contains(hidden), "{printed}");
            }
        }
    }

    #[test]
    fn what_makes_no_destination() {
        let error = |kind, settings: &str| parse(kind, settings).expect_err(settings).to_string();
        insta::assert_snapshot!(error(Kind::Slack, "Hidden"), @"not settings of an endpoint");
        insta::assert_snapshot!(error(Kind::Slack, r#"{"url":7}"#), @"not settings of an endpoint");
        insta::assert_snapshot!(error(Kind::Slack, r#"{"address":"a@b.c"}"#), @"there is no url");
        insta::assert_snapshot!(error(Kind::Slack, r#"{"url":"Hidden"}"#), @"not an address, such as https://hooks.example.com/…");
        insta::assert_snapshot!(error(Kind::Email, "{}"), @"there is no address");
        insta::assert_snapshot!(error(Kind::Email, r#"{"address":"Hidden"}"#), @"not a mail address, such as ada@example.com or Ada <ada@example.com>");
        insta::assert_snapshot!(error(Kind::Sms, r#"{"number":"0151"}"#), @"a phone number has to be in the international form, such as +4915112345678");
        let webhook = |more: &str| {
            error(
                Kind::Webhook,
                &format!(r#"{{"url":"https://example.com",{more}}}"#),
            )
        };
        insta::assert_snapshot!(webhook(r#""secrets":["Hidden"]"#), @"a signing secret is whsec_ and 24 to 64 bytes in base64");
        insta::assert_snapshot!(webhook(r#""headers":{"host":"Hidden"}"#), @"the header host is set by the sender");
        insta::assert_snapshot!(webhook(r#""method":"GET""#), @"must be POST or PUT");
    }

    #[test]
    fn hosts_that_are_not_the_chats_own() {
        let oddity = |kind, url: &str| Destination::of(kind, url).expect(url).oddity();
        for (kind, url) in [
            (Kind::Slack, "https://hooks.slack.com/services/x"),
            (Kind::Slack, "https://hooks.slack-gov.com/services/x"),
            (Kind::Discord, "https://discord.com/api/webhooks/1/x"),
            (Kind::Discord, "https://canary.discord.com/api/webhooks/1/x"),
            (Kind::Webhook, "https://example.com"),
            (Kind::Email, "a@example.com"),
        ] {
            assert_eq!(oddity(kind, url), None, "{url}");
        }
        insta::assert_snapshot!(oddity(Kind::Slack, "https://chat.example.com/x").expect("odd"), @"chat.example.com is no host of slack; it has to understand the webhooks of slack");
        insta::assert_snapshot!(oddity(Kind::Discord, "https://notdiscord.com/x").expect("odd"), @"notdiscord.com is no host of discord; it has to understand the webhooks of discord");
    }
}
