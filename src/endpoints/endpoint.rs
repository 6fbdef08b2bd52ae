//! A row of `notification_endpoints`.

use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::encryption::{DecryptError, Encryption};
use crate::channels::{Channel, Destination, InvalidSettings};

/// Whose events an endpoint hears of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's.
    Global,
    /// One organisation's.
    Organisation(Uuid),
    /// One project's.
    Project(Uuid),
}

impl Scope {
    /// Its name in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Organisation(_) => "organisation",
            Self::Project(_) => "project",
        }
    }

    /// Of what.
    #[must_use]
    pub fn id(self) -> Option<Uuid> {
        match self {
            Self::Global => None,
            Self::Organisation(id) | Self::Project(id) => Some(id),
        }
    }

    pub(super) fn from_row(name: &str, id: Option<Uuid>) -> Option<Self> {
        match (name, id) {
            ("global", None) => Some(Self::Global),
            ("organisation", Some(id)) => Some(Self::Organisation(id)),
            ("project", Some(id)) => Some(Self::Project(id)),
            _ => None,
        }
    }
}

/// As people read it.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.id().map_or(Ok(()), |id| write!(f, " {id}"))
    }
}

/// An endpoint, but for its settings, which may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its identifier.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// Whose events it hears of.
    pub scope: Scope,
    /// Its channel.
    pub channel: Channel,
    /// Where it leads, masked.
    pub target: String,
    /// What it hears of; `*` is all operator events.
    pub event_types: Vec<String>,
    /// Why it is disabled, and since when, if it is.
    pub disabled: Option<Disabled>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

/// Why nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disabled {
    /// Why, in words.
    pub reason: Option<String>,
    /// Since when.
    pub at: Option<DateTime<Utc>>,
}

/// An endpoint with its settings as they are stored.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// JSON, perhaps encrypted.
    pub settings: SecretString,
}

/// An endpoint that nothing can be sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Its settings can't be read.
    #[error(transparent)]
    Sealed(#[from] DecryptError),
    /// They can, and make no destination.
    #[error("its settings are wrong: {0}")]
    Wrong(#[from] InvalidSettings),
}

impl Stored {
    /// Where it leads.
    pub fn destination(&self, encryption: &Encryption) -> Result<Destination, Unusable> {
        let opened = encryption.decrypt(self.endpoint.id, self.settings.expose_secret())?;
        Ok(Destination::parse(self.endpoint.channel, &opened.settings)?)
    }
}
