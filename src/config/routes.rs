//! Routes: endpoints that the environment names.

use std::collections::HashSet;

use secrecy::ExposeSecret as _;

use super::{Config, InvalidConfig};
use crate::channels::{Channel, Destination, Policy};
use crate::endpoints::{Route, Routes};

impl Config {
    /// The routes of the environment.
    pub(crate) fn routes(&self) -> Result<Routes, InvalidConfig> {
        let policy = self.outgoing_policy();
        let given = [
            (Channel::Slack, &self.slack_webhook_url, self.slack_enabled),
            (
                Channel::Discord,
                &self.discord_webhook_url,
                self.discord_enabled,
            ),
            (Channel::Email, &self.email_to, self.email_enabled),
        ];
        let mut routes = Vec::new();
        for (channel, address, is_on) in given {
            let Some(variables) = channel.spec().route else {
                continue;
            };
            match (is_on, address) {
                (None | Some(false), None) => {}
                (Some(true), None) => {
                    let why = format!(", and {} is true", variables.switch);
                    return Err(InvalidConfig::missing(variables.address, why));
                }
                // What is switched off need not be right.
                (Some(false), Some(_)) => routes.push(Route::off(channel)),
                (None | Some(true), Some(text)) => {
                    let text = text.expose_secret();
                    let to = destinations(channel, text, &policy);
                    let invalid = |problem| InvalidConfig::new(variables.address, problem);
                    routes.extend(to.map_err(invalid)?);
                }
            }
        }
        Ok(Routes::new(routes))
    }
}

/// The addresses of one channel. An error repeats none of them: they are secrets, or people's.
fn destinations(channel: Channel, text: &str, policy: &Policy) -> Result<Vec<Route>, String> {
    let is_list = channel.spec().route.is_some_and(|route| route.is_list);
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
            return Err(format!("{which}is listed twice"));
        }
        routes.push(Route::on(destination));
    }
    Ok(routes)
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;

    const SLACK: (&str, &str) = (
        "NOTIFICATIONS_SLACK_WEBHOOK_URL",
        "https://hooks.slack.com/services/Hidden",
    );
    const MAIL: (&str, &str) = (
        "NOTIFICATIONS_EMAIL_TO",
        "ada@example.com, Bo <bo@example.com>",
    );

    fn routes(variables: &[(&'static str, &str)]) -> String {
        let (config, wrong) = read(variables);
        match config.routes() {
            Ok(routes) if wrong.is_empty() => format!("{:?}", routes.names()),
            _ => wrong,
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
        insta::assert_snapshot!(routes(&[("NOTIFICATIONS_EMAIL_TO", "a@example.com,A <A@Example.com>")]), @"NOTIFICATIONS_EMAIL_TO: address 2: is listed twice");
    }
}
