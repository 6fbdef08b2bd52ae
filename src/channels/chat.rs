//! Messages to chats.

use url::Url;

pub use crate::domain::announcement::{Field, Severity};

/// A message to a room, in plain text: whatever the chat would take for markup is shown as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChatMessage {
    /// One line that says what happened.
    pub title: String,
    /// What there is to say about it; lines and paragraphs stay apart.
    pub text: String,
    /// The particulars.
    pub fields: Vec<Field>,
    /// How much it matters.
    pub severity: Severity,
    /// Where to look.
    pub link: Option<Link>,
    /// One small line at the end.
    pub footer: Option<String>,
}

/// Somewhere to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What is there.
    pub label: String,
    /// Where it is.
    pub url: Url,
}

/// How a severity looks.
pub(super) trait Look {
    /// A sign before the title, where it needs one.
    fn sign(self) -> &'static str;
    /// A colour: red, green, blue.
    fn colour(self) -> u32;
}

impl Look for Severity {
    fn sign(self) -> &'static str {
        match self {
            Self::Info => "",
            Self::Success => "✅ ",
            Self::Warning => "⚠️ ",
            Self::Critical => "🚨 ",
        }
    }

    fn colour(self) -> u32 {
        match self {
            Self::Info => 0x3b_82f6,
            Self::Success => 0x16_a34a,
            Self::Warning => 0xf5_9e0b,
            Self::Critical => 0xdc_2626,
        }
    }
}
