//! What a dry run reports: events, their recipients and their endpoints.

use uuid::Uuid;

use crate::domain::announcement::Message;
use crate::domain::plan::{InApp, Notification, Plan};
use crate::fan_out::outcome::{EmailOutcome, EndpointOutcome, InAppOutcome, Rule};
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
#[derive(Debug, Clone)]
pub struct DryEvent {
    pub event_id: i64,
    /// Its type, as the application wrote it.
    pub event_type: String,
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
    /// What would appear in the application.
    pub in_app: InAppOutcome,
    /// The preference row that decided it.
    pub in_app_rule: Option<Rule>,
    /// What would be mailed.
    pub email: EmailOutcome,
    /// The preference row that decided it.
    pub email_rule: Option<Rule>,
    /// How many events the notification would stand for, where they are counted.
    pub count: Option<i32>,
}

impl DryRecipient<'_> {
    /// The message as the person would see it: where events are counted, with the count.
    pub(crate) fn message(&self) -> Option<Notification> {
        match &self.plan.in_app {
            InApp::None => None,
            InApp::Each(message) => Some(message.clone()),
            InApp::Coalesced { message, .. } => {
                let count = self.count?;
                let mut message = message.clone();
                message.title.insert_str(0, &count.to_string());
                if let Some(body) = &mut message.body {
                    body.insert_str(0, &count.to_string());
                }
                message.payload.insert("count".into(), count.into());
                Some(message)
            }
        }
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

/// Receives what a dry run finds, in the order of claims.
pub trait Audit {
    /// An event; its recipients follow, and its endpoints.
    fn event(&mut self, event: &DryEvent);
    /// A recipient of the event before.
    fn recipient(&mut self, recipient: &DryRecipient<'_>);
    /// An endpoint of the event before.
    fn endpoint(&mut self, endpoint: &DryEndpoint<'_>);
}
