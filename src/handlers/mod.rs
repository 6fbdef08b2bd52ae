//! One file per event type: its payload, its plan and its tests.
//!
//! A handler is pure: it does no I/O and sees no clock. Adding an event type is one new file and
//! one line in the list below; the rest follows from it. What events of one kind have in common
//! stands in `access`, `meeting`, `thread` and `context`; [`Names`] finds what they speak of, and
//! `draft` tells it in one voice.

mod access;
mod alert;
mod draft;
mod entity;
mod links;
mod meeting;
mod names;
mod operator;
mod operator_message;
mod rendering;
#[cfg(test)]
mod testing;
mod thread;

mod channel_choice;

pub use links::Links;
pub use names::{Lookups, Names, Profile};
pub use rendering::Rendering;

use crate::domain::announcement::Announcement;
use crate::domain::event::{EventRow, InvalidEvent};
use crate::domain::payload::Fields;
use crate::domain::plan::Plan;

/// A typed event that knows whom to tell what.
pub trait Handler: std::fmt::Debug + Send {
    /// Names the rows whose names [`Handler::plan`] will ask for.
    fn lookups(&self, lookups: &mut Lookups);

    /// Whom to tell what. Without plans the event completes without effect.
    fn plan(&self, names: &Names) -> Vec<Plan>;

    /// What endpoints are told. Nothing, but of operator events.
    fn announce(&self, _names: &Names) -> Option<Announcement> {
        None
    }
}

/// Declares the closed set of event types: a module, a typed event and a name each; and for operator
/// events the other name that they are known by.
macro_rules! event_types {
    (@dotted) => { None };
    (@dotted $dotted:literal) => { Some($dotted) };
    ($($module:ident => $event:ident $(or $dotted:literal)?),+ $(,)?) => {
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

            /// The name of an operator event as other systems write it; none of the others has one.
            #[must_use]
            pub const fn dotted(self) -> Option<&'static str> {
                match self {
                    $(Self::$event => event_types!(@dotted $($dotted)?),)+
                }
            }

            /// Understands a row as an event of this type.
            pub fn decode(self, row: &EventRow) -> Result<Box<dyn Handler>, InvalidEvent> {
                let fields = Fields::new(row, self.name());
                Ok(match self {
                    $(Self::$event => Box::new($module::$event::decode(fields)?),)+
                })
            }
        }
    };
}

impl EventType {
    /// Every name that may stand in `domain_events.event_type`: of operator events, those with dots
    /// in the place of some underscores too.
    #[must_use]
    pub fn spellings(self) -> Vec<String> {
        if self.dotted().is_none() {
            return vec![self.name().to_owned()];
        }
        let mut words = self.name().split('_');
        let first = words.next().map(str::to_owned);
        words.fold(Vec::from_iter(first), |names, word| {
            let longer = |between| {
                names
                    .iter()
                    .map(move |name| format!("{name}{between}{word}"))
            };
            longer('_').chain(longer('.')).collect()
        })
    }

    /// The type of that name, in any spelling, if it has a handler.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let underscored = name.replace('.', "_");
        let is_named = |known: &Self| match known.dotted() {
            Some(_) => known.name() == underscored,
            None => known.name() == name,
        };
        Self::ALL.iter().copied().find(is_named)
    }

    /// Every spelling of the type of that name; of one without a handler, the name itself.
    #[must_use]
    pub fn spellings_of(name: &str) -> Vec<String> {
        Self::from_name(name).map_or_else(|| vec![name.to_owned()], Self::spellings)
    }

    /// Whether endpoints hear of it.
    #[must_use]
    pub fn is_operator(self) -> bool {
        self.dotted().is_some()
    }

    /// Every spelling of every type.
    #[must_use]
    pub fn all_spellings() -> Vec<String> {
        Self::ALL
            .iter()
            .flat_map(|known| known.spellings())
            .collect()
    }
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
    tenant_created => TenantCreated or "tenant.created",
    payment_succeeded => PaymentSucceeded or "payment.succeeded",
    payment_failed => PaymentFailed or "payment.failed",
    node_launched => NodeLaunched or "node.launched",
    node_terminated => NodeTerminated or "node.terminated",
    node_health_degraded => NodeHealthDegraded or "node.health_degraded",
    cost_anomaly_detected => CostAnomalyDetected or "cost.anomaly_detected",
    ratelimit_threshold_reached => RatelimitThresholdReached or "ratelimit.threshold_reached",
    margin_alert => MarginAlert or "margin.alert",
    alert_triggered => AlertTriggered or "alert.triggered",
}

#[cfg(test)]
mod tests;
