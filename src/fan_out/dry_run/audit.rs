//! What a dry run reports: events, their recipients and their endpoints.

use uuid::Uuid;

use crate::domain::announcement::Message;
use crate::domain::plan::{Email, InApp, Notification, Plan};
use crate::fan_out::outcome::{EndpointOutcome, Outcome, PreferenceStatus};
use crate::handlers::EventType;

/// What a run would do with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventOutcome {
    /// It would complete, notifying the recipients that follow.
    Complete,
    /// It would fail, for the reason given.
    Fail(String),
    /// Its type has no handler: it would wait for one.
    Wait,
    /// Its type is ignored: it would complete without effect.
    Ignore,
}

/// An event that a run would claim.
#[derive(Debug)]
pub struct DryEvent<'a> {
    pub event_id: i64,
    /// Its type, as the application wrote it.
    pub event_type: &'a str,
    pub outcome: EventOutcome,
}

/// A person that an event concerns.
#[derive(Debug)]
pub struct DryRecipient<'a> {
    pub event_id: i64,
    pub event_type: EventType,
    pub user_id: Uuid,
    /// The plan, the same for its whole audience.
    pub plan: &'a Plan,
    pub in_app: Outcome,
    pub in_app_preference: Option<PreferenceStatus>,
    pub email: Outcome,
    pub email_preference: Option<PreferenceStatus>,
    /// How many events the notification would stand for, where they are counted.
    pub count: Option<i32>,
}

impl DryRecipient<'_> {
    /// The message as the person would see it: where events are counted, with the count.
    pub(crate) fn message(&self) -> Option<Notification> {
        let mut message = self.plan.in_app.message()?.clone();
        if !self.in_app.is_shown() {
            return None;
        }
        if let InApp::Coalesced { .. } = self.plan.in_app {
            let count = self.count?;
            message.title.insert_str(0, &count.to_string());
            if let Some(body) = &mut message.body {
                body.insert_str(0, &count.to_string());
            }
            message.payload.insert("count".into(), count.into());
        }
        Some(message)
    }

    /// The e-mail that the person would get.
    pub(crate) fn mail(&self) -> Option<&Email> {
        self.plan.email.as_ref().filter(|_| self.email.is_mailed())
    }
}

/// An endpoint, or a phone, that an event reaches.
#[derive(Debug)]
pub struct DryEndpoint<'a> {
    pub event_id: i64,
    pub event_type: EventType,
    pub channel: &'a str,
    /// Whom it is for, as `notification_deliveries` has it.
    pub recipient: &'a str,
    /// The endpoint's name; none of a phone.
    pub name: Option<&'a str>,
    pub outcome: EndpointOutcome,
    pub message: &'a Message,
}

/// Receives what a dry run finds, in the order of claims: events, after each its recipients, and then
/// its endpoints.
pub trait Audit {
    fn event(&mut self, event: &DryEvent<'_>);
    fn recipient(&mut self, recipient: &DryRecipient<'_>);
    fn endpoint(&mut self, endpoint: &DryEndpoint<'_>);
}
