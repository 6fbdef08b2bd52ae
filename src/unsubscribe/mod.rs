//! Unsubscribing with one click (RFC 8058): each e-mail has an address that nobody can guess, and a
//! POST to it mutes such e-mails for its recipient. Whoever answers the POST reads the token and
//! applies it; so does the command `unsubscribe`.

mod apply;
mod token;

use uuid::Uuid;

pub use apply::{UnsubscribeOutcome, apply};
pub use token::InvalidToken;

use crate::domain::base_url::BaseUrl;
use crate::domain::secret_keys::SecretKeys;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnsubscribeScope {
    /// All of them; what a digest offers.
    All,
    EventType(String),
}

impl UnsubscribeScope {
    /// As preference rows have it: the type, or `*`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::All => "*",
            Self::EventType(event_type) => event_type,
        }
    }
}

impl From<&str> for UnsubscribeScope {
    fn from(event_type: &str) -> Self {
        match event_type {
            // Rows without a type are an older job's, and belong to everything.
            "*" | "" => Self::All,
            _ => Self::EventType(event_type.to_owned()),
        }
    }
}

/// Who unsubscribes from what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubscribeRequest {
    pub user_id: Uuid,
    pub scope: UnsubscribeScope,
}

/// Makes the addresses, and reads what comes back.
#[derive(Debug)]
pub struct Unsubscribe {
    base: BaseUrl,
    keys: SecretKeys,
}

impl Unsubscribe {
    /// A token is appended to `base`. The first key signs, all of them verify, so that a key can be
    /// replaced while the mails that were signed with it are still about.
    pub fn new(base: BaseUrl, keys: SecretKeys) -> Self {
        Self { base, keys }
    }

    /// The same each time for one person and scope.
    pub fn url(&self, request: &UnsubscribeRequest) -> String {
        let token = token::sign(request, &self.keys);
        format!("{}/{token}", self.base.as_str())
    }

    /// Reads a token, or an address that ends with one.
    pub fn read(&self, token: &str) -> Result<UnsubscribeRequest, InvalidToken> {
        let token = token.trim();
        let token = token.rsplit_once('/').map_or(token, |(_, token)| token);
        token::verify(token, &self.keys)
    }
}
