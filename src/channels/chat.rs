//! Messages to chats.

use url::Url;

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

/// A particular.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// What it is.
    pub name: String,
    /// What it says.
    pub value: String,
}

/// Somewhere to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What is there.
    pub label: String,
    /// Where it is.
    pub url: Url,
}

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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

impl Severity {
    /// A sign before the title, where it needs one.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Info => "",
            Self::Success => "✅ ",
            Self::Warning => "⚠️ ",
            Self::Critical => "🚨 ",
        }
    }

    /// A colour: red, green, blue.
    pub(super) fn colour(self) -> u32 {
        match self {
            Self::Info => 0x3b_82f6,
            Self::Success => 0x16_a34a,
            Self::Warning => 0xf5_9e0b,
            Self::Critical => 0xdc_2626,
        }
    }
}
