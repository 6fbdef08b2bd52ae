//! One file per event type: its payload, its plan and its tests.
//!
//! A handler is pure: it does no I/O and sees no clock. Adding an event type is one new file and
//! one line in the list below; the rest follows from it. What events of one kind have in common
//! stands in `access`, `meeting` and `thread`; [`Names`] finds what they speak of, and `notice`
//! tells it in one voice.

mod access;
mod links;
mod meeting;
mod names;
mod notice;
mod subject;
#[cfg(test)]
mod testing;
mod thread;

pub use names::{Names, Person, Wanted};

use crate::domain::event::{EventRow, InvalidEvent};
use crate::domain::payload::Fields;
use crate::domain::plan::Plan;

/// A typed event that knows whom to tell what.
pub trait Handler: std::fmt::Debug {
    /// Names the rows whose names [`Handler::plan`] will ask for.
    fn wants(&self, wanted: &mut Wanted);

    /// Whom to tell what. Without plans the event completes without effect.
    fn plan(&self, names: &Names) -> Vec<Plan>;
}

/// Declares the closed set of event types: a module, a typed event and a name each.
macro_rules! event_types {
    ($($module:ident => $event:ident),+ $(,)?) => {
        $(mod $module;)+

        /// The event types that have a handler.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventType {
            $(
                #[doc = concat!("`", stringify!($module), "`")]
                $event,
            )+
        }

        impl EventType {
            /// Every type, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$event),+];

            /// The name that stands in `domain_events.event_type`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$event => stringify!($module),)+
                }
            }

            /// The type of that name, if it has a handler.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.name() == name)
            }

            /// Understands a row as an event of this type.
            pub fn parse(self, row: &EventRow) -> Result<Box<dyn Handler>, InvalidEvent> {
                let fields = Fields::new(row, self.name());
                Ok(match self {
                    $(Self::$event => Box::new($module::$event::parse(fields)?),)+
                })
            }
        }
    };
}

event_types! {
    document_uploaded => DocumentUploaded,
    chat_message_sent => ChatMessageSent,
    thread_unread_stale => ThreadUnreadStale,
    meeting_invited => MeetingInvited,
    meeting_updated => MeetingUpdated,
    meeting_reminder => MeetingReminder,
    resume_incomplete_nudge => ResumeIncompleteNudge,
    invite_accepted => InviteAccepted,
    project_access_granted => ProjectAccessGranted,
    project_access_changed => ProjectAccessChanged,
    project_access_revoked => ProjectAccessRevoked,
    document_permission_granted => DocumentPermissionGranted,
    document_permission_changed => DocumentPermissionChanged,
}

#[cfg(test)]
mod tests;
