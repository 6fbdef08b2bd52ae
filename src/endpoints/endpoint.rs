//! An endpoint as commands show it, and its row of `notification_endpoints`.

use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

use super::encryption::{DecryptError, Encryption};
use crate::channels::{Destination, InvalidTarget, UnknownChannel};

/// Whose events an endpoint receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointScope {
    Global,
    Organisation(Uuid),
    Project(Uuid),
}

impl EndpointScope {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Organisation(_) => "organisation",
            Self::Project(_) => "project",
        }
    }

    pub(super) fn id(self) -> Option<Uuid> {
        match self {
            Self::Global => None,
            Self::Organisation(id) | Self::Project(id) => Some(id),
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

/// An endpoint or a route, but for its settings, which may hold secrets.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct Endpoint {
    pub name: String,
    pub id: Option<Uuid>,
    /// `table` or `environment`.
    pub source: String,
    pub channel: String,
    /// Redacted.
    pub target: Option<String>,
    pub scope: String,
    pub scope_id: Option<Uuid>,
    /// `*` is all operator events.
    pub event_types: Vec<String>,
    pub enabled: bool,
    pub disabled_reason: Option<String>,
    pub disabled_at: Option<DateTime<Utc>>,
    pub created_at: Option<DateTime<Utc>>,
}

/// Why a route is disabled, and since when.
#[derive(Debug, Clone)]
pub struct Disabled {
    pub reason: Option<String>,
    pub at: Option<DateTime<Utc>>,
}

/// An endpoint with its settings as they are stored.
#[derive(Debug, FromRow)]
pub struct Stored {
    pub id: Uuid,
    #[sqlx(flatten)]
    pub endpoint: Endpoint,
    /// JSON, perhaps encrypted.
    #[sqlx(try_from = "String")]
    pub settings: SecretString,
}

/// An endpoint that nothing can be sent to.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("its channel is unknown: it {0}")]
    Channel(#[from] UnknownChannel),
    #[error(transparent)]
    Unreadable(#[from] DecryptError),
    #[error("its settings are wrong: {0}")]
    Wrong(#[from] InvalidTarget),
}

impl Stored {
    pub fn destination(&self, encryption: &Encryption) -> Result<Destination, Unusable> {
        let channel = self.endpoint.channel.parse()?;
        let opened = encryption.decrypt(self.id, self.settings.expose_secret())?;
        Ok(Destination::parse(channel, &opened.settings)?)
    }
}
