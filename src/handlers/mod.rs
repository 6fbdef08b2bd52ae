//! One file per event type: its payload, its plan, its sample and, if it has e-mails of its own,
//! their templates beside it.
//!
//! A handler is pure: it does no I/O and sees no clock. To add an event type, add its file and its
//! line in the list below; names, spellings, previews, test data, the table in the docs and the
//! generic tests follow from these. What several types have in common is in `access`, `meeting`,
//! `thread` and `operator`.

mod access;
mod alert;
mod channel_choice;
#[cfg(test)]
pub(crate) mod docs;
mod draft;
mod entity;
#[cfg(test)]
mod fixture;
mod links;
mod meeting;
mod names;
mod operator;
mod operator_message;
mod payload;
mod prelude;
pub(crate) mod sample;
mod thread;

pub use links::Links;
pub use names::{Lookups, Names, Profile, Rendering};

use payload::Part;

use crate::domain::announcement::Announcement;
use crate::domain::event::{EventRow, InvalidEvent};
use crate::domain::payload::Fields;
use crate::domain::plan::Plan;

/// An event type.
trait Event: Part + std::fmt::Debug + Send + 'static {
    /// Another name that preferences may have for it.
    const ALIAS: Option<&'static str> = None;
    /// Whether endpoints receive it. Such events have spellings with dots, too.
    const IS_OPERATOR: bool = false;
    const MAIL: Option<MailTemplates> = None;
    /// SQL that reads events whose notification is sent once ever, and its dedup key: for migrate, which
    /// remembers those that an older job sent.
    const ONCE_KEYS: Option<&'static str> = None;

    /// Events over the test world (`sample`). The first one has every key that the templates need.
    fn samples() -> Vec<EventRow>;

    /// Who is notified of what. Without plans the event completes without effect.
    fn plan(&self, names: &Names) -> Vec<Plan>;

    /// The message to endpoints.
    fn announce(&self, _names: &Names) -> Option<Announcement> {
        None
    }
}

/// A decoded event.
pub trait Handler: std::fmt::Debug + Send {
    /// Adds the rows whose names [`Handler::plan`] needs.
    fn lookups(&self, lookups: &mut Lookups);

    fn plan(&self, names: &Names) -> Vec<Plan>;

    /// The message to endpoints, of operator events.
    fn announce(&self, names: &Names) -> Option<Announcement>;
}

impl<E: Event> Handler for E {
    fn lookups(&self, lookups: &mut Lookups) {
        Part::lookups(self, lookups);
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        Event::plan(self, names)
    }

    fn announce(&self, names: &Names) -> Option<Announcement> {
        Event::announce(self, names)
    }
}

/// The templates of an event type's e-mails; the subject is that of the message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MailTemplates {
    /// Their name among the templates, which several types may share.
    pub(crate) name: &'static str,
    pub(crate) html: &'static str,
    pub(crate) text: &'static str,
    /// Keys of the e-mail's data without which there is nothing to say, of the sample's type.
    pub(crate) needs: &'static [&'static str],
}

/// The templates in `NAME.html` and `NAME.txt`, and the keys that they need.
macro_rules! templates {
    ($name:literal $(, $needed:literal)*) => {
        $crate::handlers::MailTemplates {
            name: $name,
            html: include_str!(concat!($name, ".html")),
            text: include_str!(concat!($name, ".txt")),
            needs: &[$($needed),*],
        }
    };
}
use templates;

/// Declares the event types: for each a module, which is named as `domain_events.event_type` names
/// the type, and in it the struct of its payload.
macro_rules! handlers {
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

            /// The name in `domain_events.event_type`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$event => stringify!($module),)+
                }
            }

            /// Another name that preferences may have for it.
            pub const fn alias(self) -> Option<&'static str> {
                match self {
                    $(Self::$event => $module::$event::ALIAS,)+
                }
            }

            /// Whether endpoints receive it.
            pub const fn is_operator(self) -> bool {
                match self {
                    $(Self::$event => $module::$event::IS_OPERATOR,)+
                }
            }

            /// The templates of its e-mails, if it has any.
            pub(crate) const fn mail(self) -> Option<MailTemplates> {
                match self {
                    $(Self::$event => $module::$event::MAIL,)+
                }
            }

            /// See [`Event::ONCE_KEYS`].
            pub(crate) const fn once_keys(self) -> Option<&'static str> {
                match self {
                    $(Self::$event => $module::$event::ONCE_KEYS,)+
                }
            }

            /// Decodes a row as an event of this type.
            pub fn decode(self, row: &EventRow) -> Result<Box<dyn Handler>, InvalidEvent> {
                let event_type = self.name();
                let fields = Fields { row, event_type };
                Ok(match self {
                    $(Self::$event => Box::new($module::$event::decode(fields, event_type)?),)+
                })
            }

            fn events(self) -> Vec<EventRow> {
                match self {
                    $(Self::$event => $module::$event::samples(),)+
                }
            }
        }
    };
}

impl EventType {
    /// Every name that may stand in `domain_events.event_type`: of operator events, those with dots
    /// in the place of some underscores too.
    pub fn spellings(self) -> Vec<String> {
        if !self.is_operator() {
            return vec![self.name().to_owned()];
        }
        let mut parts = self.name().split('_');
        let first = parts.next().map(str::to_owned);
        parts.fold(Vec::from_iter(first), |names, part| {
            let names = names.iter();
            let longer = |between| {
                names
                    .clone()
                    .map(move |name| format!("{name}{between}{part}"))
            };
            longer('_').chain(longer('.')).collect()
        })
    }

    /// The type of that name, in any spelling, if it has a handler.
    pub fn from_name(name: &str) -> Option<Self> {
        let underscored = name.replace('.', "_");
        let mut all = Self::ALL.iter().copied();
        all.find(|known| {
            let spelled = if known.is_operator() {
                &underscored
            } else {
                name
            };
            known.name() == spelled
        })
    }

    /// Every spelling of the type of that name; of one without a handler, the name itself.
    pub fn spellings_of(name: &str) -> Vec<String> {
        Self::from_name(name).map_or_else(|| vec![name.to_owned()], Self::spellings)
    }

    /// Every spelling of every type.
    pub fn all_spellings() -> Vec<String> {
        let all = Self::ALL.iter();
        all.flat_map(|known| known.spellings()).collect()
    }

    /// Events over the test world.
    pub(crate) fn samples(self) -> impl Iterator<Item = EventRow> {
        self.events().into_iter().map(move |mut row| {
            if row.event_type.is_empty() {
                self.name().clone_into(&mut row.event_type);
            }
            row
        })
    }
}

handlers! {
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
    tenant_created => TenantCreated,
    payment_succeeded => PaymentSucceeded,
    payment_failed => PaymentFailed,
    node_launched => NodeLaunched,
    node_terminated => NodeTerminated,
    node_health_degraded => NodeHealthDegraded,
    cost_anomaly_detected => CostAnomalyDetected,
    ratelimit_threshold_reached => RatelimitThresholdReached,
    margin_alert => MarginAlert,
    alert_triggered => AlertTriggered,
}

#[cfg(test)]
mod tests;
