//! Plans in a form to read, for tests.

use std::collections::{BTreeSet, HashMap};
use std::fmt::{Display, Write};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::sample::{ADA, NAMED, names};
use super::{EventType, Lookups, Names, Rendering};
use crate::domain::announcement::{Announcement, Field};
use crate::domain::base_url::BaseUrl;
use crate::domain::event::{EventRow, InvalidEvent, Problem};
use crate::domain::plan::{InApp, Plan};
use crate::domain::text;
use crate::templates::{Recipient, Templates, samples};

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

/// A row with these keys in its payload; `null` removes one.
pub(super) fn with(mut row: EventRow, payload: Value) -> EventRow {
    let keys = row.payload.get_or_insert_with(|| json!({}));
    let Value::Object(given) = payload else {
        panic!("not an object: {payload}");
    };
    for (key, value) in given {
        keys[key] = value;
    }
    row
}

/// The row with the sample's values where it is refused, and the keys that it is refused for.
pub(super) fn completed(event_type: EventType, mut row: EventRow) -> (EventRow, Vec<String>) {
    let sample = sample(event_type);
    let mut refused = Vec::new();
    while let Err(InvalidEvent { key, problem, .. }) = event_type.decode(&row) {
        assert!(!refused.contains(&key), "the sample has an invalid {key}");
        match key.rsplit(' ').next().unwrap_or(&key) {
            "project_id" => row.project_id = sample.project_id,
            "org_id" => row.org_id = sample.org_id,
            "resource_id" => row.resource_id = sample.resource_id,
            "thread_id" => row.thread_id = sample.thread_id,
            "meeting_id" => row.meeting_id = sample.meeting_id,
            last => {
                let name = last.trim_start_matches("payload.");
                let given = sample.payload.as_ref().and_then(|keys| keys.get(name));
                // What stands for a column is in the sample's column.
                let otherwise = (problem == Problem::Missing).then_some(ADA);
                let value = given.cloned().unwrap_or_else(|| json!(otherwise));
                row = with(row, json!({name: value}));
            }
        }
        refused.push(key);
    }
    (row, refused)
}

/// The effects of the type's first sample with these keys, see [`with`] and [`planned`].
pub(super) fn planned_with(event_type: EventType, payload: Value) -> String {
    planned(event_type, &with(sample(event_type), payload))
}

/// The title, or why there is none, of the first sample with each of these payloads.
pub(super) fn titles<const N: usize>(event_type: EventType, payloads: [Value; N]) -> String {
    let titles = payloads.map(|payload| {
        let planned = planned_with(event_type, payload);
        let title = planned.lines().find(|line| !line.starts_with("to "));
        title.unwrap_or("no effect").trim_start().to_owned()
    });
    titles.join("\n")
}

/// The effects of an event in the test world, or why it fails.
pub(super) fn planned(event_type: EventType, row: &EventRow) -> String {
    let text = match event_type.decode(row) {
        Ok(event) => {
            let mut lookups = Lookups::default();
            event.lookups(&mut lookups);
            let names = looked_up(&names(Rendering::default()), &lookups);
            let announcement = event.announce(&names).as_ref().map(announced);
            let plans = event.plan(&names);
            let plans = plans.iter().map(|plan| effect(plan) + &details(plan));
            announcement.into_iter().chain(plans).collect()
        }
        Err(error) => error.to_string(),
    };
    NAMED
        .iter()
        .fold(text, |text, (id, name)| text.replace(&id.to_string(), name))
}

/// The text of the type's e-mail, if it has one, and why one gets it.
pub(super) fn mail(event_type: EventType) -> Option<String> {
    let app_url = BaseUrl::parse("https://app.example.com").expect("an address");
    let templates = Templates::load(None, app_url, None).expect("templates");
    let sample = samples::queued(event_type, &Rendering::default())?;
    let rendered = templates.mail(&sample, &Recipient::default());
    Some(rendered.expect("rendered").text.replace('\u{2060}', ""))
}

/// What is there of these parts, each behind its name.
fn listed<T: Display, const N: usize>(parts: [(&str, Option<T>); N]) -> String {
    let parts = parts.into_iter();
    parts
        .filter_map(|(name, part)| Some(format!("{name} {}", part?)))
        .collect()
}

fn effect(plan: &Plan) -> String {
    let scopes = plan.scopes;
    let ids = listed([
        (" but", plan.actor_id),
        (", project", scopes.project_id),
        (", thread", scopes.thread_id),
    ]);
    let in_app = match &plan.in_app {
        InApp::None => "",
        InApp::Each(_) => ", in app",
        InApp::Coalesced { key, .. } => &format!(", in app by {key}"),
    };
    let email = plan.email.as_ref();
    let email = listed([(", e-mail", email.map(|email| format!("{:?}", email.timing)))]);
    let once = listed([(", once", plan.once_key.as_ref())]);
    format!("to {:?}{ids}{once}{in_app}{email}\n", plan.audience)
}

/// The notification of a plan, and what its e-mail has besides.
fn details(plan: &Plan) -> String {
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
    let ids = listed([
        (", org", announcement.org_id),
        (", project", announcement.project_id),
        (", phone", announcement.sms_to),
    ]);
    let channels = announcement.channels.as_ref();
    let only = listed([(", only", channels.map(|names| format!("{names:?}")))]);
    text + &format!("to endpoints{ids}{only}\n")
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
