//! Messages to endpoints and phones.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// A message and which endpoints receive it. Endpoints are rows of `notification_endpoints` and the
/// routes of the environment; the database selects them.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    /// Endpoints of this organisation receive it, besides the global ones.
    pub org_id: Option<Uuid>,
    /// Endpoints of this project receive it.
    pub project_id: Option<Uuid>,
    /// Only endpoints of these channels, by name; `None`: of any.
    pub channels: Option<Vec<&'static str>>,
    /// Who receives it as a text message.
    pub sms_to: Option<Uuid>,
    pub message: Message,
    /// A recipient receives no second message with one of these keys for some time.
    pub dedup_keys: Vec<DedupKey>,
}

/// A message as it is stored until it is sent; each channel renders it in its own form.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Message {
    /// One line of plain text.
    pub title: String,
    /// Plain text; may be empty.
    #[serde(default)]
    pub text: String,
    /// Details for people.
    #[serde(default)]
    pub fields: Vec<Field>,
    #[serde(default)]
    pub severity: Severity,
    /// Path within the application.
    #[serde(default)]
    pub link_url: Option<String>,
    /// Details for programs.
    #[serde(default)]
    pub data: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    pub name: String,
    pub value: String,
}

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

/// What suppresses a second message, per recipient and channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DedupKey {
    /// One alert on one day: `TYPE:ALERT:YYYY-MM-DD`, in UTC.
    Day(String),
    /// The same content for 24 hours: its SHA-256 in hexadecimal.
    Content(String),
}

impl Severity {
    /// Its name, as it is stored.
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
    /// `pending_emails.body_data` has it under the key `guards`.
    pub fn key(&self) -> String {
        match self {
            Self::Day(key) => format!("day:{key}"),
            Self::Content(key) => format!("content:{key}"),
        }
    }
}
