//! Endpoints that the environment names, and the key that the others' settings are kept with.

use std::collections::HashSet;

use super::{InvalidConfig, Source, parse_bool};
use crate::channels::{Kind, Policy};
use crate::domain::secret_keys::SecretKeys;
use crate::endpoints::{Destination, Encryption, ROUTES, Route, RouteVariables, Routes};

const KEY: &str = "NOTIFY_SECRET_KEY";

impl Source<'_> {
    /// What settings of endpoints are encrypted with, if with anything.
    pub fn encryption(&self) -> Result<Encryption, InvalidConfig> {
        let Some(text) = self.get(KEY) else {
            return Ok(Encryption::default());
        };
        let keys = SecretKeys::parse_exact(&text).map_err(|error| InvalidConfig {
            variable: KEY,
            problem: error.to_string(),
        })?;
        Ok(Encryption::new(keys))
    }

    /// What settings are encrypted with, for who can't do without.
    pub fn required_encryption(&self) -> Result<Encryption, InvalidConfig> {
        let encryption = self.encryption()?;
        if encryption.encrypts() {
            return Ok(encryption);
        }
        Err(InvalidConfig {
            variable: KEY,
            problem:
                "not set. It is the key to encrypt with, 32 bytes; make one with: openssl rand \
                      -base64 32"
                    .to_owned(),
        })
    }

    /// The routes of the environment.
    pub fn routes(&self) -> Result<Routes, InvalidConfig> {
        let policy = self.outgoing_policy()?;
        let mut routes = Vec::new();
        for variables in &ROUTES {
            routes.extend(self.routes_by(variables, &policy)?);
        }
        Ok(Routes::new(routes))
    }

    fn routes_by(
        &self,
        variables: &RouteVariables,
        policy: &Policy,
    ) -> Result<Vec<Route>, InvalidConfig> {
        let is_on = self.parsed(variables.switch, None, None, |text| {
            parse_bool(text).map(Some)
        })?;
        let invalid = |problem| InvalidConfig {
            variable: variables.address,
            problem,
        };
        match (is_on, self.get(variables.address)) {
            (None | Some(false), None) => Ok(Vec::new()),
            (Some(true), None) => Err(invalid(format!(
                "not set, and {} is true",
                variables.switch
            ))),
            // What is switched off need not be right.
            (Some(false), Some(_)) => Ok(vec![Route::off(variables.channel)]),
            (None | Some(true), Some(text)) => {
                destinations(variables.channel, &text, policy).map_err(invalid)
            }
        }
    }
}

/// The addresses of one channel. An error repeats none of them: they are secrets, or people's.
fn destinations(channel: Kind, text: &str, policy: &Policy) -> Result<Vec<Route>, String> {
    let is_list = channel == Kind::Email;
    let parts: Vec<_> = if is_list {
        text.split(',').collect()
    } else {
        vec![text]
    };
    let mut routes = Vec::new();
    let mut known = HashSet::new();
    for (place, part) in parts.iter().enumerate() {
        let which = if parts.len() > 1 {
            format!("address {}: ", place + 1)
        } else {
            String::new()
        };
        let destination =
            Destination::of(channel, part).map_err(|error| format!("{which}{error}"))?;
        destination.check(policy).map_err(|refused| {
            format!("{refused}; see NOTIFY_OUTGOING_ALLOW and NOTIFY_OUTGOING_PLAIN_HTTP")
        })?;
        if let Destination::Email(mailbox) = &destination
            && !known.insert(mailbox.address().to_lowercase())
        {
            return Err(format!("{which}stands there twice"));
        }
        routes.push(Route::on(destination));
    }
    Ok(routes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLACK: (&str, &str) = (
        "NOTIFICATIONS_SLACK_WEBHOOK_URL",
        "https://hooks.slack.com/services/Hidden",
    );
    const MAIL: (&str, &str) = (
        "NOTIFICATIONS_EMAIL_TO",
        "ada@example.com, Bo <bo@example.com>",
    );

    fn routes(variables: &[(&str, &str)]) -> String {
        let get = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        match Source(&get).routes() {
            Ok(routes) => format!("{:?}", routes.names()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_address_makes_a_route_unless_it_is_switched_off() {
        insta::assert_snapshot!(routes(&[]), @"[]");
        insta::assert_snapshot!(routes(&[SLACK]), @r#"[(Slack, "env:slack")]"#);
        insta::assert_snapshot!(routes(&[SLACK, MAIL, ("NOTIFICATIONS_SLACK_ENABLED", "1")]), @r#"[(Slack, "env:slack"), (Email, "env:email:b5fc85e5"), (Email, "env:email:c828d6b9")]"#);
        insta::assert_snapshot!(routes(&[SLACK, ("NOTIFICATIONS_SLACK_ENABLED", "false")]), @"[]");
        // As templates of an environment have it.
        insta::assert_snapshot!(routes(&[("NOTIFICATIONS_DISCORD_WEBHOOK_URL", "your-webhook"), ("NOTIFICATIONS_DISCORD_ENABLED", "false")]), @"[]");
        insta::assert_snapshot!(routes(&[("NOTIFICATIONS_DISCORD_ENABLED", "false")]), @"[]");
    }

    #[test]
    fn what_is_wrong_is_refused_by_name_and_not_repeated() {
        insta::assert_snapshot!(routes(&[("NOTIFICATIONS_SLACK_ENABLED", "true")]), @"NOTIFICATIONS_SLACK_WEBHOOK_URL: not set, and NOTIFICATIONS_SLACK_ENABLED is true");
        insta::assert_snapshot!(routes(&[SLACK, ("NOTIFICATIONS_SLACK_ENABLED", "ture")]), @r#"NOTIFICATIONS_SLACK_ENABLED: must be true or false; it is "ture""#);
        insta::assert_snapshot!(routes(&[("NOTIFICATIONS_DISCORD_WEBHOOK_URL", "Hidden")]), @"NOTIFICATIONS_DISCORD_WEBHOOK_URL: not an address, such as https://hooks.example.com/…");
        insta::assert_snapshot!(routes(&[("NOTIFICATIONS_DISCORD_WEBHOOK_URL", "http://discord.com/Hidden")]), @"NOTIFICATIONS_DISCORD_WEBHOOK_URL: the address is not encrypted (http://), which is not allowed here; see NOTIFY_OUTGOING_ALLOW and NOTIFY_OUTGOING_PLAIN_HTTP");
        insta::assert_snapshot!(routes(&[("NOTIFICATIONS_SLACK_WEBHOOK_URL", "https://10.0.0.1/Hidden")]), @"NOTIFICATIONS_SLACK_WEBHOOK_URL: 10.0.0.1 is a private address, and not on the list of allowed networks; see NOTIFY_OUTGOING_ALLOW and NOTIFY_OUTGOING_PLAIN_HTTP");
        insta::assert_snapshot!(routes(&[("NOTIFICATIONS_EMAIL_TO", "Hidden")]), @"NOTIFICATIONS_EMAIL_TO: not a mail address, such as ada@example.com or Ada <ada@example.com>");
        insta::assert_snapshot!(routes(&[("NOTIFICATIONS_EMAIL_TO", "a@example.com, Hidden")]), @"NOTIFICATIONS_EMAIL_TO: address 2: not a mail address, such as ada@example.com or Ada <ada@example.com>");
        insta::assert_snapshot!(routes(&[("NOTIFICATIONS_EMAIL_TO", "a@example.com,A <A@Example.com>")]), @"NOTIFICATIONS_EMAIL_TO: address 2: stands there twice");
    }

    #[test]
    fn keys_are_refused_by_name() {
        let encryption = |value: &str| {
            let get = |name: &str| (name == KEY).then(|| value.to_owned());
            let error = Source(&get)
                .required_encryption()
                .map(drop)
                .map_err(|error| error.to_string());
            error.err().unwrap_or_else(|| "accepted".to_owned())
        };
        insta::assert_snapshot!(encryption(""), @"NOTIFY_SECRET_KEY: not set. It is the key to encrypt with, 32 bytes; make one with: openssl rand -base64 32");
        insta::assert_snapshot!(encryption("hunter2!"), @"NOTIFY_SECRET_KEY: key 1 is neither base64 nor hexadecimal; make one with: openssl rand -base64 32");
        insta::assert_snapshot!(encryption(&"ab".repeat(33)), @"NOTIFY_SECRET_KEY: key 1 has more than 32 bytes; make one with: openssl rand -base64 32");
        assert_eq!(encryption(&format!("{0},{0}", "ab".repeat(32))), "accepted");
    }
}
