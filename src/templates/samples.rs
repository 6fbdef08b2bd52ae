//! Mails to look at: what the handlers make of sample events, so that a sample is what a real event
//! would send.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{QueuedMail, Recipient};
use crate::domain::event::EventRow;
use crate::handlers::{EventType, Names, Profile, Rendering};

const READER: Uuid = id(1);
const ADA: Uuid = id(2);
const QUAYSIDE: Uuid = id(3);
const REPORT: Uuid = id(4);
const CHECKLIST: Uuid = id(5);
const HARBOUR: Uuid = id(6);

const fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x5a3b_1e00_0000_4000_8000_0000_0000_0000 + number)
}

/// Whom the samples are for.
#[must_use]
pub fn reader(unsubscribe_url: Option<&str>) -> Recipient<'_> {
    Recipient {
        name: Some("Bruno Keller"),
        time_zone: Some("Europe/Berlin"),
        unsubscribe_url,
    }
}

/// The identifier of that person.
#[must_use]
pub fn reader_id() -> Uuid {
    READER
}

/// What is queued for a sample event; `None` for a type that has no sample.
#[must_use]
pub fn queued(event_type: EventType, rendering: &Rendering) -> Option<QueuedMail> {
    let row = row(event_type)?;
    let event = event_type.decode(&row).ok()?;
    let email = event
        .plan(&names(rendering.clone()))
        .into_iter()
        .find_map(|plan| plan.email)?;
    Some(QueuedMail {
        event_type: event_type.name().to_owned(),
        subject: email.subject,
        body_data: email.body_data.into(),
        project_id: email.project_id,
        project_name: email.project_name,
        created_at: monday(),
    })
}

/// A mail of a type that has no templates of its own, as an older job may have queued it.
#[must_use]
pub fn generic() -> QueuedMail {
    QueuedMail {
        event_type: "site_visit_booked".to_owned(),
        subject: "Ada Okafor booked a site visit · Quayside Lofts".to_owned(),
        body_data: json!({
            "link_url": format!("/project/workspace/{QUAYSIDE}?tab=meetings"),
            "start_time": "2030-01-17T09:30:00Z",
        }),
        project_id: Some(QUAYSIDE),
        project_name: Some("Quayside Lofts".to_owned()),
        created_at: monday(),
    }
}

/// What gathered for one person. Operator events do not wait, unless somebody prefers it.
#[must_use]
pub fn digest(rendering: &Rendering) -> Vec<QueuedMail> {
    let mails = EventType::ALL
        .iter()
        .filter(|event_type| event_type.dotted().is_none())
        .filter_map(|event_type| queued(*event_type, rendering));
    let mut mails: Vec<_> = mails.chain([generic()]).collect();
    for (minutes, mail) in (0..).step_by(23).zip(&mut mails) {
        mail.created_at += TimeDelta::minutes(minutes);
    }
    mails
}

fn monday() -> DateTime<Utc> {
    DateTime::from_timestamp(1_894_869_000, 0).unwrap_or_default()
}

/// An event of the type, of those that are mailed.
fn row(event_type: EventType) -> Option<EventRow> {
    let in_project = EventRow {
        event_type: event_type.name().to_owned(),
        actor_id: Some(ADA),
        project_id: Some(QUAYSIDE),
        ..EventRow::default()
    };
    Some(match event_type {
        EventType::DocumentUploaded => EventRow {
            resource_id: Some(REPORT),
            ..in_project
        },
        EventType::ThreadUnreadStale => EventRow {
            actor_id: None,
            thread_id: Some(CHECKLIST),
            payload: Some(json!({ "user_id": READER, "unread_count": 4 })),
            ..in_project
        },
        EventType::ResumeIncompleteNudge => EventRow {
            actor_id: None,
            payload: Some(json!({
                "user_id": READER,
                "resume_type": "borrower",
                "completion_percent": 40,
                "nudge_tier": 1,
            })),
            ..in_project
        },
        EventType::InviteAccepted => EventRow {
            project_id: None,
            org_id: Some(HARBOUR),
            ..in_project
        },
        EventType::ProjectAccessGranted => EventRow {
            payload: Some(json!({ "affected_user_id": READER, "new_permission": "view" })),
            ..in_project
        },
        EventType::ProjectAccessChanged => EventRow {
            payload: Some(json!({
                "affected_user_id": READER,
                "old_permission": "view",
                "new_permission": "edit",
            })),
            ..in_project
        },
        _ => EventRow {
            event_type: event_type.name().to_owned(),
            org_id: Some(HARBOUR),
            payload: Some(operator_payload(event_type)?),
            ..EventRow::default()
        },
    })
}

fn operator_payload(event_type: EventType) -> Option<Value> {
    Some(match event_type {
        EventType::TenantCreated => json!({
            "name": "Harbour Capital",
            "email": "billing@example.com",
            "billing_plan": "growth",
        }),
        EventType::PaymentSucceeded => json!({
            "amount": "480.00",
            "currency": "EUR",
            "payment_id": "pay_20491",
        }),
        EventType::PaymentFailed => json!({
            "tenant_id": HARBOUR,
            "reason": "The card was declined",
            "amount": "480.00",
            "currency": "EUR",
        }),
        EventType::NodeLaunched => json!({
            "node_id": "node-17",
            "provider": "runpod",
            "region": "eu-west-1",
            "gpu": "A100",
            "model": "llama-70b",
            "duration": "4h",
            "spot": true,
            "price": "1.20",
        }),
        EventType::NodeTerminated => json!({
            "node_id": "node-17",
            "time_remaining": "52m",
            "reason": "Spot capacity was reclaimed",
        }),
        EventType::NodeHealthDegraded => json!({
            "node_id": "node-17",
            "health_score": 42,
            "issues": ["GPU temperature is 91 °C", "Disk is 97% full"],
        }),
        EventType::CostAnomalyDetected => json!({
            "current_cost": "182.40",
            "average_cost": "96.00",
            "threshold": "150%",
        }),
        EventType::RatelimitThresholdReached => json!({
            "usage": 9_120,
            "limit": 10_000,
            "threshold_percent": 90,
        }),
        EventType::MarginAlert => json!({
            "user_id": READER,
            "health_score": 1.08,
            "severity": "critical",
            "message": "Add collateral, or positions will be closed.",
        }),
        EventType::AlertTriggered => json!({
            "alert_id": "alert-204",
            "user_id": READER,
            "name": "Occupancy below 90%",
            "message": "Quayside Lofts is at 87.5%.",
            "condition_json": { "metric": "occupancy", "below": 90 },
        }),
        _ => return None,
    })
}

fn names(rendering: Rendering) -> Names {
    let ada = Profile {
        full_name: Some("Ada Okafor".to_owned()),
        email: Some("ada@example.com".to_owned()),
    };
    Names {
        people: [(ADA, ada)].into(),
        projects: [(QUAYSIDE, "Quayside Lofts".to_owned())].into(),
        orgs: [(HARBOUR, "Harbour Capital".to_owned())].into(),
        resources: [(REPORT, "Appraisal report (final).pdf".to_owned())].into(),
        threads: [(CHECKLIST, "Closing checklist".to_owned())].into(),
        rendering,
        ..Names::default()
    }
}
