//! Unsubscribing with one click (RFC 8058): each mail carries an address that nobody can guess,
//! and a POST to it mutes mails like that one for the person it was sent to. Whoever answers the
//! POST (the command line does it by hand) reads the token and applies it.

mod apply;
mod keys;
mod token;

use uuid::Uuid;

pub use apply::{Outcome, apply};
pub use keys::Keys;
pub use token::InvalidToken;

use crate::domain::base_url::BaseUrl;

/// Which mails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them; what a digest offers.
    All,
    /// Those of one event type.
    EventType(String),
}

impl Scope {
    /// As preference rows have it: the type, or `*`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::All => "*",
            Self::EventType(event_type) => event_type,
        }
    }
}

impl From<&str> for Scope {
    fn from(event_type: &str) -> Self {
        match event_type {
            // Rows without a type are an older job's, and belong to everything.
            "*" | "" => Self::All,
            _ => Self::EventType(event_type.to_owned()),
        }
    }
}

/// Who wants no more of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The person.
    pub user_id: Uuid,
    /// The mails.
    pub scope: Scope,
}

/// Makes the addresses, and reads what comes back.
#[derive(Debug)]
pub struct Unsubscribe {
    base: BaseUrl,
    keys: Keys,
}

impl Unsubscribe {
    /// With the address that a token is appended to.
    #[must_use]
    pub fn new(base: BaseUrl, keys: Keys) -> Self {
        Self { base, keys }
    }

    /// The address for one person and kind of mail, the same each time.
    #[must_use]
    pub fn url(&self, request: &Request) -> String {
        format!(
            "{}/{}",
            self.base.as_str(),
            token::sign(request, &self.keys)
        )
    }

    /// Reads a token, or an address that ends with one.
    pub fn read(&self, token: &str) -> Result<Request, InvalidToken> {
        let token = token.trim();
        let token = token.rsplit_once('/').map_or(token, |(_, token)| token);
        token::verify(token, &self.keys)
    }
}
