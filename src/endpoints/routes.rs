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

    /// The target of the route that answers to a name; `off` without one.
    fn found(routes: &[Route], name: &str) -> String {
        let routes = Routes::new(routes.to_vec());
        let target = |route: &Route| {
            let target = route.destination.as_ref();
            target.map_or_else(|| "off".to_owned(), ToString::to_string)
        };
        routes.get(name).map_or_else(|| "none".to_owned(), target)
    }

    /// What waits for an address finds it, and no other, wherever in the list it stands.
    #[test]
    fn a_route_keeps_its_name_among_several() {
        let slack = Destination::of(Channel::Slack, "https://hooks.slack.com/x");
        let slack = Route::on(slack.expect("an address"));
        let (ada, bo) = (email("ada@example.com"), email("Bo <bo@Example.com>"));
        let off = Route::off(Channel::Email);
        assert_eq!(ada.name, "env:email:b5fc85e5");
        let both = [ada.clone(), bo.clone()];
        for (routes, name, target) in [
            (
                &[slack.clone()][..],
                "env:slack",
                "https://hooks.slack.com/…",
            ),
            (&[slack], "env:sms", "none"),
            (&both, &bo.name, "b…@Example.com"),
            (&[email("bo@example.com")], &bo.name, "b…@example.com"),
            (&[email("bo@example.com")], &ada.name, "none"),
            // As they were named once.
            (&both, "env:email", "a…@example.com"),
            (&[off], &ada.name, "off"),
        ] {
            assert_eq!(found(routes, name), target, "{name}");
        }
    }
}
