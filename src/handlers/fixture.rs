//! Plans in a form to read, for tests.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::sample::{
    ADA, APPRAISAL, BRUNO, CHECKLIST, CHIARA, DEV, ELIF, FARID, GRACE, HARBOR, HUGO, KICKOFF,
    MILL_STREET, NORTHWIND, QUAYSIDE, RENT_ROLL, names,
};
use super::{EventType, Lookups, Names, Rendering};
use crate::domain::announcement::{Announcement, Field};
use crate::domain::base_url::BaseUrl;
use crate::domain::event::EventRow;
use crate::domain::plan::{Email, InApp, Plan};
use crate::domain::text;
use crate::templates::{Recipient, Templates, samples};

/// Markup, a mention, an address, and a character that reverses the line.
pub(super) const HOSTILE: &str =
    "[Win](https://evil.example) <img src=x> @all **now** `\u{202e}`\n# !";

const CALLED: [(Uuid, &str); 16] = [
    (ADA, "ADA"),
    (BRUNO, "BRUNO"),
    (CHIARA, "CHIARA"),
    (DEV, "DEV"),
    (ELIF, "ELIF"),
    (FARID, "FARID"),
    (GRACE, "GRACE"),
    (HUGO, "HUGO"),
    (HARBOR, "HARBOR"),
    (NORTHWIND, "NORTHWIND"),
    (QUAYSIDE, "QUAYSIDE"),
    (MILL_STREET, "MILL_STREET"),
    (APPRAISAL, "APPRAISAL"),
    (RENT_ROLL, "RENT_ROLL"),
    (CHECKLIST, "CHECKLIST"),
    (KICKOFF, "KICKOFF"),
];

/// The names that are found when only the rows asked for are looked up.
pub(super) fn looked_up(names: &Names, lookups: &Lookups) -> Names {
    fn only<T: Clone>(rows: &HashMap<Uuid, T>, ids: &BTreeSet<Uuid>) -> HashMap<Uuid, T> {
        let rows = rows.iter().filter(|(id, _)| ids.contains(id));
        rows.map(|(id, row)| (*id, row.clone())).collect()
    }
    Names {
        people: only(&names.people, &lookups.people),
        projects: only(&names.projects, &lookups.projects),
        orgs: only(&names.orgs, &lookups.orgs),
        resources: only(&names.resources, &lookups.resources),
        threads: only(&names.threads, &lookups.threads),
        meetings: only(&names.meetings, &lookups.meetings),
        meeting_times: only(&names.meeting_times, &lookups.meetings),
        rendering: names.rendering.clone(),
    }
}

/// The type's first sample.
pub(super) fn sample(event_type: EventType) -> EventRow {
    event_type.samples().next().expect("a sample")
}

/// The type's first sample with these keys in its payload; `null` removes one.
pub(super) fn with(event_type: EventType, payload: Value) -> EventRow {
    let mut row = sample(event_type);
    let mut keys = row.payload.take().expect("a payload");
    let Value::Object(payload) = payload else {
        panic!("not an object: {payload}");
    };
    for (key, value) in payload {
        keys[&key] = value;
    }
    EventRow {
        payload: Some(keys),
        ..row
    }
}

/// The effects of an event with these keys, see [`with`] and [`planned`].
pub(super) fn planned_with(event_type: EventType, payload: Value) -> String {
    planned(event_type, &with(event_type, payload))
}

/// The first line of an event's effects.
pub(super) fn title_with(event_type: EventType, payload: Value) -> String {
    let planned = planned_with(event_type, payload);
    planned.lines().next().unwrap_or_default().to_owned()
}

/// The effects of an event in the test world, or why it fails. Of an operator event, which effects
/// for people all have the same form, only the message to endpoints in full.
pub(super) fn planned(event_type: EventType, row: &EventRow) -> String {
    let text = match event_type.decode(row) {
        Ok(event) => {
            let mut lookups = Lookups::default();
            event.lookups(&mut lookups);
            let names = looked_up(&names(Rendering::default()), &lookups);
            let plans = event.plan(&names);
            let plans = plans.iter().map(|plan| {
                if event_type.is_operator() {
                    brief(plan)
                } else {
                    brief(plan) + &details(plan)
                }
            });
            let announcement = event.announce(&names);
            announcement
                .as_ref()
                .map(announced)
                .into_iter()
                .chain(plans)
                .collect()
        }
        Err(error) => error.to_string(),
    };
    let text: String = text;
    CALLED.iter().fold(text, |text, (id, called)| {
        text.replace(&id.to_string(), called)
    })
}

/// The text of the type's e-mail, and why one gets it.
pub(super) fn mail(event_type: EventType) -> String {
    let app_url = BaseUrl::parse("https://app.example.com").expect("an address");
    let templates = Templates::load(None, app_url, None).expect("templates");
    let sample = samples::queued(event_type, &Rendering::default()).expect("an e-mail");
    let rendered = templates.mail(&sample, &Recipient::default());
    rendered.expect("rendered").text.replace('\u{2060}', "")
}

fn brief(plan: &Plan) -> String {
    let mut text = format!("to {:?}", plan.audience);
    if let Some(actor_id) = plan.actor_id {
        write!(text, " but {actor_id}").unwrap();
    }
    let scopes = [
        ("project", plan.scopes.project_id),
        ("thread", plan.scopes.thread_id),
    ];
    for (scope, id) in scopes {
        if let Some(id) = id {
            write!(text, ", {scope} {id}").unwrap();
        }
    }
    if let Some(once_key) = &plan.once_key {
        write!(text, ", once {once_key}").unwrap();
    }
    match &plan.in_app {
        InApp::None => {}
        InApp::Each(_) => text.push_str(", in app"),
        InApp::Coalesced { key, .. } => write!(text, ", in app by {key}").unwrap(),
    }
    if let Some(Email { timing, .. }) = &plan.email {
        write!(text, ", e-mail {timing:?}").unwrap();
    }
    text.push('\n');
    text
}

/// The notification of a plan, and what its e-mail has besides.
pub(super) fn details(plan: &Plan) -> String {
    let mut text = String::new();
    let mut shown = Map::new();
    if let InApp::Each(message) | InApp::Coalesced { message, .. } = &plan.in_app {
        let [body, link_url] = [&message.body, &message.link_url].map(Option::as_deref);
        writeln!(text, "  {}", message.title).unwrap();
        writeln!(text, "  {}", body.unwrap_or("no body")).unwrap();
        writeln!(text, "  {}", link_url.unwrap_or("no link")).unwrap();
        text.push_str(&object(&message.payload, &shown));
        shown.clone_from(&message.payload);
    }
    if let Some(email) = &plan.email {
        let project = email.project_name.as_deref().unwrap_or("no project");
        writeln!(text, "  e-mail, {project}: {}", email.subject).unwrap();
        text.push_str(&object(&email.body_data, &shown));
    }
    text
}

fn announced(announcement: &Announcement) -> String {
    let message = &announcement.message;
    let mut text = format!("{}: {}\n", message.severity.name(), message.title);
    for line in message.text.lines() {
        writeln!(text, "  {line}").unwrap();
    }
    for Field { name, value } in &message.fields {
        writeln!(text, "  {name}: {value}").unwrap();
    }
    text.push_str(&object(&message.data, &Map::new()));
    for key in &announcement.dedup_keys {
        writeln!(text, "  dedup {}", text::clip(&key.key(), 60)).unwrap();
    }
    text.push_str("to endpoints");
    let scopes = [
        ("org", announcement.org_id),
        ("project", announcement.project_id),
        ("phone", announcement.sms_to),
    ];
    for (scope, id) in scopes {
        if let Some(id) = id {
            write!(text, ", {scope} {id}").unwrap();
        }
    }
    if let Some(channels) = &announcement.channels {
        write!(text, ", only {channels:?}").unwrap();
    }
    text.push('\n');
    text
}

/// The pairs of an object that were not shown before.
fn object(object: &Map<String, Value>, shown: &Map<String, Value>) -> String {
    let pairs = object
        .iter()
        .filter(|(key, value)| shown.get(*key) != Some(value));
    let pairs: Vec<_> = pairs
        .map(|(key, value)| format!("{key}: {}", text::clip(&value.to_string(), 140)))
        .collect();
    format!("  {{{}}}\n", pairs.join(", "))
}
