//! A row of `notification_endpoints`.

use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::encryption::{DecryptError, Encryption};
use crate::channels::{Channel, Destination, InvalidTarget};

/// Whose events an endpoint receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointScope {
    Global,
    Organisation(Uuid),
    Project(Uuid),
}

impl EndpointScope {
    pub fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Organisation(_) => "organisation",
            Self::Project(_) => "project",
        }
    }

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
impl fmt::Display for EndpointScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.id().map_or(Ok(()), |id| write!(f, " {id}"))
    }
}

/// An endpoint, but for its settings, which may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub id: Uuid,
    pub name: String,
    pub scope: EndpointScope,
    pub channel: Channel,
    /// Redacted.
    pub target: String,
    /// `*` is all operator events.
    pub event_types: Vec<String>,
    /// Why it is disabled, and since when, if it is.
    pub disabled: Option<Disabled>,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disabled {
    pub reason: Option<String>,
    pub at: Option<DateTime<Utc>>,
}

/// An endpoint with its settings as they are stored.
#[derive(Debug, Clone)]
pub struct Stored {
    pub endpoint: Endpoint,
    /// JSON, perhaps encrypted.
    pub settings: SecretString,
}

/// An endpoint that nothing can be sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error(transparent)]
    Unreadable(#[from] DecryptError),
    #[error("its settings are wrong: {0}")]
    Wrong(#[from] InvalidTarget),
}

impl Stored {
    pub fn destination(&self, encryption: &Encryption) -> Result<Destination, Unusable> {
        let opened = encryption.decrypt(self.endpoint.id, self.settings.expose_secret())?;
        Ok(Destination::parse(self.endpoint.channel, &opened.settings)?)
    }
}
