//! Endpoints that the environment names: global, for all operator events, without a row.

use sha2::{Digest, Sha256};

use super::destination::Destination;
use crate::channels::Kind;

/// What the names of routes begin with, and no endpoint's name does.
const PREFIX: &str = "env:";

/// One of them.
#[derive(Debug, Clone)]
pub struct Route {
    /// As `notification_deliveries.recipient` has it: `env:slack`, `env:discord`, `env:email`.
    pub name: String,
    /// Its channel.
    pub channel: Kind,
    /// Where it leads; `None` where the environment switches it off.
    pub destination: Option<Destination>,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Routes(Vec<Route>);

/// The variables that make the routes of a channel.
#[derive(Debug)]
pub struct RouteVariables {
    /// The channel.
    pub channel: Kind,
    /// Says where to.
    pub address: &'static str,
    /// Switches it on and off.
    pub switch: &'static str,
}

/// Of each channel that has routes.
pub const ROUTES: [RouteVariables; 3] = [
    RouteVariables {
        channel: Kind::Slack,
        address: "NOTIFICATIONS_SLACK_WEBHOOK_URL",
        switch: "NOTIFICATIONS_SLACK_ENABLED",
    },
    RouteVariables {
        channel: Kind::Discord,
        address: "NOTIFICATIONS_DISCORD_WEBHOOK_URL",
        switch: "NOTIFICATIONS_DISCORD_ENABLED",
    },
    RouteVariables {
        channel: Kind::Email,
        address: "NOTIFICATIONS_EMAIL_TO",
        switch: "NOTIFICATIONS_EMAIL_ENABLED",
    },
];

impl Route {
    /// That leads there.
    #[must_use]
    pub fn on(destination: Destination) -> Self {
        let channel = destination.kind();
        Self {
            name: name(channel),
            channel,
            destination: Some(destination),
        }
    }

    /// That is switched off.
    #[must_use]
    pub fn off(channel: Kind) -> Self {
        Self {
            name: name(channel),
            channel,
            destination: None,
        }
    }

    /// The name that it has wherever it stands among those of its channel.
    fn lasting_name(&self) -> String {
        let name = name(self.channel);
        match &self.destination {
            Some(Destination::Email(mailbox)) => {
                let address = mailbox.address().to_lowercase();
                let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(address));
                format!("{name}:{a:02x}{b:02x}{c:02x}{d:02x}")
            }
            _ => name,
        }
    }
}

impl Routes {
    /// Gives each further route of a channel a name of its own: with a part of the hash of its
    /// address, which stays the same wherever in the list the address stands.
    #[must_use]
    pub fn new(mut routes: Vec<Route>) -> Self {
        for place in 1..routes.len() {
            let (before, from) = routes.split_at_mut(place);
            if before.iter().any(|other| other.channel == from[0].channel) {
                from[0].name = from[0].lasting_name();
            }
        }
        Self(routes)
    }

    /// Channel and name of those that are on, as deliveries are queued for them.
    #[must_use]
    pub fn names(&self) -> Vec<(Kind, String)> {
        let on = self.0.iter().filter(|route| route.destination.is_some());
        on.map(|route| (route.channel, route.name.clone()))
            .collect()
    }

    /// Where the route of this name leads; `None` where it is gone or off.
    #[must_use]
    pub fn destination(&self, name: &str) -> Option<Destination> {
        self.get(name)?.destination.clone()
    }

    /// The route of this name. The first of a channel is also known by the name that it has
    /// while it is not the first.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Route> {
        let named = self.0.iter().find(|route| route.name == name);
        named.or_else(|| self.0.iter().find(|route| route.lasting_name() == name))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }
}

fn name(channel: Kind) -> String {
    format!("{PREFIX}{}", channel.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email(address: &str) -> Route {
        Route::on(Destination::of(Kind::Email, address).expect("a mailbox"))
    }

    fn names(routes: &Routes) -> Vec<String> {
        routes.names().into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn those_that_are_on_have_names() {
        let slack = Destination::of(Kind::Slack, "https://hooks.slack.com/x");
        let routes = Routes::new(vec![
            Route::on(slack.expect("an address")),
            Route::off(Kind::Discord),
            email("ada@example.com"),
        ]);
        assert_eq!(names(&routes), ["env:slack", "env:email"]);
        assert!(routes.destination("env:slack").is_some());
        assert!(routes.destination("env:discord").is_none());
        assert!(routes.get("env:discord").is_some());
        assert!(routes.get("env:sms").is_none());
    }

    /// What waits for an address finds it after another was put before it or taken away.
    #[test]
    fn an_address_keeps_its_name_among_several() {
        let both = Routes::new(vec![email("ada@example.com"), email("Bo <bo@Example.com>")]);
        insta::assert_debug_snapshot!(names(&both), @r#"
        [
            "env:email",
            "env:email:c828d6b9",
        ]
        "#);
        let alone = Routes::new(vec![email("bo@example.com")]);
        assert_eq!(names(&alone), ["env:email"]);
        let found = alone.destination(&names(&both)[1]).expect("Bo");
        assert_eq!(found.to_string(), "b…@example.com");
    }
}
