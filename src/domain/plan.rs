//! What a handler decides: who is notified of an event, of what, and whether by e-mail too.

use serde_json::{Map, Value};
use uuid::Uuid;

/// Who may be notified of an event. One set-based query expands it to recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// One person.
    User(Uuid),
    /// One person, only while an owner of the organisation that owns the project.
    ProjectOwner { user_id: Uuid, project_id: Uuid },
    /// The participants of a chat thread, except those who have a plan of their own.
    ThreadParticipants { thread_id: Uuid, except: Vec<Uuid> },
    /// Those named, if they are participants of a chat thread.
    ThreadMentions {
        thread_id: Uuid,
        user_ids: Vec<Uuid>,
    },
    /// Everyone invited to a meeting.
    MeetingParticipants { meeting_id: Uuid },
    /// Those with a grant on a project and the owners of the document's organisation (without a
    /// document, the project's), if they may view the document.
    ProjectViewers {
        /// The project, if the event names one; else it names the document.
        project_id: Option<Uuid>,
        resource_id: Option<Uuid>,
    },
    /// The owners of an organisation.
    OrgOwners {
        /// The organisation.
        org_id: Uuid,
        /// An owner who is not a candidate: the event is about them, or they have a plan of their own.
        except: Option<Uuid>,
    },
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Notification {
    /// Plain text, at most [`super::text::TITLE_MAX`] characters.
    pub title: String,
    /// In the format that the application renders.
    pub body: Option<String>,
    /// Path within the application.
    pub link_url: Option<String>,
    /// Data for the application; `type` says which kind of notification it is.
    pub payload: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum InApp {
    None,
    /// A notification of its own.
    Each(Notification),
    /// One notification per recipient and key for as long as it stays unread; it counts its events.
    Coalesced {
        /// What the events have in common.
        key: String,
        /// `title` and `body` are what *follows* the count, which the database puts in front:
        /// it alone knows how many events an unread notification already stands for. The same
        /// count goes into the payload as `count`.
        message: Notification,
    },
}

impl InApp {
    /// The notification, if there is one; of a coalesced one without the count.
    pub fn message(&self) -> Option<&Notification> {
        match self {
            Self::None => None,
            Self::Each(message) | Self::Coalesced { message, .. } => Some(message),
        }
    }

    /// The key of a coalesced notification.
    pub fn coalesce_key(&self) -> Option<&str> {
        match self {
            Self::Coalesced { key, .. } => Some(key),
            _ => None,
        }
    }
}

/// When an e-mail is sent, unless the recipient's preferences decide otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailTiming {
    /// On its own, as soon as possible.
    Immediate,
    /// Together with others, in a digest.
    Aggregated,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Email {
    pub timing: EmailTiming,
    /// Plain text.
    pub subject: String,
    /// What a template needs: names, ids, `link_url`, counts.
    pub body_data: Map<String, Value>,
    /// The project that a digest groups it under.
    pub project_id: Option<Uuid>,
    pub project_name: Option<String>,
}

/// The scopes whose preference rows count, besides the global ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PreferenceScopes {
    pub project_id: Option<Uuid>,
    /// Rows of this thread count, before those of the project.
    pub thread_id: Option<Uuid>,
}

/// One audience with its notification and e-mail.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub audience: Audience,
    /// The actor, who is excluded from the recipients. `None` for scheduled events.
    pub actor_id: Option<Uuid>,
    pub scopes: PreferenceScopes,
    pub in_app: InApp,
    /// `None`: no e-mail, whatever the preferences say.
    pub email: Option<Email>,
    /// Delivered at most once per recipient and key, ever.
    pub once_key: Option<String>,
    /// Whether the key counts only for as long as the application keeps the notification.
    pub once_ends_with_notification: bool,
}

impl Plan {
    /// Without any effect so far.
    pub fn new(audience: Audience, scopes: PreferenceScopes) -> Self {
        Self {
            audience,
            actor_id: None,
            scopes,
            in_app: InApp::None,
            email: None,
            once_key: None,
            once_ends_with_notification: false,
        }
    }
}
