//! What endpoints are told of an event: a chat, a program, the operator's own mailbox or phone.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// A message to the outside and which endpoints hear it. Those are rows of `notification_endpoints`
/// and the routes of the environment; the database picks them.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    /// Endpoints of this organisation hear it, besides the global ones.
    pub org_id: Option<Uuid>,
    /// Endpoints of this project hear it.
    pub project_id: Option<Uuid>,
    /// Only endpoints of these channels, by name; `None`: of any.
    pub channels: Option<Vec<&'static str>>,
    /// Whose phone it goes to as a text message.
    pub sms_to: Option<Uuid>,
    /// What is told.
    pub message: Message,
    /// What each recipient is told at most once for some time, see [`DedupKey`].
    pub dedup_keys: Vec<DedupKey>,
}

/// A message as it is stored until it is sent; each channel puts it into its own form.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Message {
    /// One line of plain text that says what happened.
    pub title: String,
    /// What there is to say about it, in plain text; may be empty.
    #[serde(default)]
    pub text: String,
    /// The particulars, for people.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// How much it matters.
    #[serde(default)]
    pub severity: Severity,
    /// Path within the application.
    #[serde(default)]
    pub link_url: Option<String>,
    /// The particulars, for programs.
    #[serde(default)]
    pub data: Map<String, Value>,
}

/// A particular.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// What it is.
    pub name: String,
    /// What it says.
    pub value: String,
}

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    #[default]
    Info,
    /// Something went well.
    Success,
    /// Someone should look at it.
    Warning,
    /// Someone has to look at it now.
    Critical,
}

/// What holds off a second telling of the same, per recipient and channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DedupKey {
    /// One alert on one day: `TYPE:ALERT:YYYY-MM-DD`, in UTC.
    Day(String),
    /// The same content for 24 hours: its SHA-256 in hexadecimal.
    Content(String),
}

impl Severity {
    /// Its name, as it is stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl DedupKey {
    /// As `notification_delivery_guards` has it behind channel and recipient, and as
    /// `pending_emails.body_data` carries it under `guards`.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Day(key) => format!("day:{key}"),
            Self::Content(key) => format!("content:{key}"),
        }
    }
}
