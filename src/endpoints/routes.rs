//! Routes: endpoints that the environment names, global, for all operator events.

use sha2::{Digest, Sha256};

use crate::channels::{Channel, Destination};

/// What the names of routes begin with, and no endpoint's name does.
const PREFIX: &str = "env:";

#[derive(Debug, Clone)]
pub struct Route {
    /// As `notification_deliveries.recipient` has it: `env:slack`, `env:discord`, and of each mail
    /// address `env:email:` and a part of its hash, wherever in the list it stands.
    pub name: String,
    pub channel: Channel,
    /// `None` where the environment switches it off.
    pub destination: Option<Destination>,
}

#[derive(Debug, Clone, Default)]
pub struct Routes(Vec<Route>);

impl Route {
    pub fn on(destination: Destination) -> Self {
        let channel = destination.channel();
        let name = match &destination {
            Destination::Email(mailbox) => {
                let address = mailbox.address().to_lowercase();
                let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(address));
                format!("{}:{a:02x}{b:02x}{c:02x}{d:02x}", name(channel))
            }
            _ => name(channel),
        };
        Self {
            name,
            channel,
            destination: Some(destination),
        }
    }

    pub fn off(channel: Channel) -> Self {
        Self {
            name: name(channel),
            channel,
            destination: None,
        }
    }
}

impl Routes {
    pub fn new(routes: Vec<Route>) -> Self {
        Self(routes)
    }

    /// Channel and name of those that are on, as deliveries are queued for them.
    pub fn names(&self) -> Vec<(Channel, String)> {
        let on = self.0.iter().filter(|route| route.destination.is_some());
        on.map(|route| (route.channel, route.name.clone()))
            .collect()
    }

    /// The names of all. (E-mails have one target, which is not among them.)
    pub fn targets(&self) -> Vec<String> {
        self.0.iter().map(|route| route.name.clone()).collect()
    }

    /// `None` where the route is gone or off.
    pub fn destination(&self, name: &str) -> Option<Destination> {
        self.get(name)?.destination.clone()
    }

    /// The route of this name. The first of a channel is also known by the channel alone, and one
    /// that is switched off by any name of its channel.
    pub fn get(&self, name: &str) -> Option<&Route> {
        let named = self.0.iter().find(|route| route.name == name);
        named.or_else(|| {
            self.0.iter().find(|route| {
                let after = name
                    .strip_prefix(PREFIX)
                    .and_then(|name| name.strip_prefix(route.channel.name()));
                match &route.destination {
                    Some(_) => after == Some(""),
                    None => after.is_some_and(|after| after.starts_with(':')),
                }
            })
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }
}

fn name(channel: Channel) -> String {
    format!("{PREFIX}{}", channel.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email(address: &str) -> Route {
        Route::on(Destination::of(Channel::Email, address).expect("a mailbox"))
    }

    fn names(routes: &Routes) -> Vec<String> {
        routes.names().into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn those_that_are_on_have_names() {
        let slack = Destination::of(Channel::Slack, "https://hooks.slack.com/x");
        let routes = Routes::new(vec![
            Route::on(slack.expect("an address")),
            Route::off(Channel::Discord),
            email("ada@example.com"),
        ]);
        assert_eq!(names(&routes), ["env:slack", "env:email:b5fc85e5"]);
        assert!(routes.destination("env:slack").is_some());
        assert!(routes.destination("env:discord").is_none());
        assert!(routes.get("env:discord").is_some());
        assert!(routes.get("env:sms").is_none());
    }

    /// What waits for an address finds it, and no other, wherever in the list it stands.
    #[test]
    fn an_address_keeps_its_name_among_several() {
        let both = Routes::new(vec![email("ada@example.com"), email("Bo <bo@Example.com>")]);
        let [ada, bo] = &names(&both)[..] else {
            panic!("two names")
        };
        let alone = Routes::new(vec![email("bo@example.com")]);
        let found = alone.destination(bo).expect("Bo");
        assert_eq!(found.to_string(), "b…@example.com");
        assert!(alone.get(ada).is_none());
        // As they were named once.
        let first = both.destination("env:email").expect("Ada");
        assert_eq!(first.to_string(), "a…@example.com");
        let off = Routes::new(vec![Route::off(Channel::Email)]);
        assert!(
            off.get(ada)
                .is_some_and(|route| route.destination.is_none())
        );
    }
}
