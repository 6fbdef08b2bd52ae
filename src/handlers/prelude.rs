//! What event types are written with.

pub(super) use serde_json::{Value, json};
pub(super) use uuid::Uuid;

pub(super) use super::draft::{Draft, counted, object};
pub(super) use super::entity::Entity;
pub(super) use super::operator::{OperatorContext, OperatorEvent};
pub(super) use super::operator_message::OperatorMessage;
pub(super) use super::payload::payload;
pub(super) use super::{Event, MailTemplates, Names, sample};
pub(super) use crate::domain::announcement::{DedupKey, Severity};
pub(super) use crate::domain::event::EventRow;
pub(super) use crate::domain::payload::{Fields, FromPayload, Id, Scalar};
pub(super) use crate::domain::plan::{Audience, EmailTiming, Plan};
pub(super) use crate::domain::quantity::{Amount, Quantity};
