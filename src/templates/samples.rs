//! E-mails to look at: what the handlers make of their samples, so that a sample is what a real event
//! would send.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::{QueuedMail, Recipient};
use crate::handlers::{EventType, Rendering, sample};

pub fn recipient(unsubscribe_url: Option<&str>) -> Recipient<'_> {
    Recipient {
        name: Some("Bruno Keller"),
        time_zone: Some("Europe/Berlin"),
        unsubscribe_url,
    }
}

/// An identifier that no person has.
pub fn recipient_id() -> Uuid {
    Uuid::from_u128(0x5a3b_1e00_0000_4000_8000_0000_0000_0001)
}

/// What is queued for the type's sample; `None` for a type without e-mails.
pub fn queued(event_type: EventType, rendering: &Rendering) -> Option<QueuedMail> {
    event_type.mail()?;
    let event = event_type.decode(&event_type.samples().next()?).ok()?;
    let plans = event.plan(&sample::names(rendering.clone()));
    let email = plans.into_iter().find_map(|plan| plan.email)?;
    Some(QueuedMail {
        event_type: event_type.name().to_owned(),
        subject: email.subject,
        body_data: email.body_data.into(),
        project_id: email.project_id,
        project_name: email.project_name,
        created_at: thursday(),
    })
}

/// An e-mail of a type without templates, as an older job may have queued it.
pub fn generic() -> QueuedMail {
    QueuedMail {
        event_type: "site_visit_booked".to_owned(),
        subject: "Ada Okafor booked a site visit · Quayside Lofts".to_owned(),
        body_data: json!({
            "link_url": "/project/workspace/5eed5eed-fa11-4003-8000-000000000001?tab=meetings",
            "start_time": "2030-01-17T09:30:00Z",
        }),
        project_id: Some(sample::QUAYSIDE),
        project_name: Some("Quayside Lofts".to_owned()),
        created_at: thursday(),
    }
}

/// What has accumulated for one person. Operator events are immediate, unless somebody prefers a
/// digest.
pub fn digest(rendering: &Rendering) -> Vec<QueuedMail> {
    let types = EventType::ALL.iter().filter(|known| !known.is_operator());
    let mails = types.filter_map(|known| queued(*known, rendering));
    let mut mails: Vec<_> = mails.chain([generic()]).collect();
    for (minutes, mail) in (0..).step_by(23).zip(&mut mails) {
        mail.created_at += TimeDelta::minutes(minutes);
    }
    mails
}

fn thursday() -> DateTime<Utc> {
    DateTime::from_timestamp(1_894_869_000, 0).unwrap_or_default()
}
