//! What holds for every event type, whatever the application writes.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use pulldown_cmark::{Event, Options, Parser, Tag};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::fixture::{HOSTILE, looked_up, sample};
use super::sample::{ADA, APPRAISAL, CHECKLIST, CHIARA, HARBOR, KICKOFF, QUAYSIDE, names};
use super::{EventType, Lookups, Names, Rendering};
use crate::domain::announcement::Announcement;
use crate::domain::body::BodyFormat;
use crate::domain::event::{EventRow, InvalidEvent};
use crate::domain::payload::reads;
use crate::domain::plan::{InApp, Plan};
use crate::domain::text::{self, TITLE_MAX};

/// What a type makes of a payload key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Required,
    /// Optional, but of another type it fails the event.
    Strict,
    Optional,
}

/// A value that no key takes for its own.
fn mistyped() -> Value {
    json!([[]])
}

fn with(row: &EventRow, key: &str, value: Value) -> EventRow {
    let mut payload = row.payload.clone().unwrap_or_else(|| json!({}));
    payload[key] = value;
    EventRow {
        payload: Some(payload),
        ..row.clone()
    }
}

/// The payload keys that a type reads.
pub(super) fn keys(event_type: EventType) -> &'static [(String, Key)] {
    static KEYS: LazyLock<HashMap<EventType, Vec<(String, Key)>>> = LazyLock::new(|| {
        EventType::ALL
            .iter()
            .map(|known| (*known, find_keys(*known)))
            .collect()
    });
    &KEYS[&event_type]
}

/// Leaves out each key in turn to find out what the type reads then.
fn find_keys(event_type: EventType) -> Vec<(String, Key)> {
    let sample = sample(event_type);
    let is_valid = |row: &EventRow| event_type.decode(row).is_ok();
    let payload = sample.payload.as_ref().and_then(Value::as_object).cloned();
    let payload = payload.unwrap_or_default();
    let less = payload.keys().map(|key| with(&sample, key, Value::Null));
    let rows: Vec<_> = [sample.clone()].into_iter().chain(less).collect();
    reads::take();
    for row in rows
        .iter()
        .flat_map(|row| [row.clone(), without_columns(row)])
    {
        is_valid(&row);
    }
    let keys = reads::take().into_iter().map(|key| {
        let mistyped = |row: &&EventRow| is_valid(row) && !is_valid(&with(row, &key, mistyped()));
        let kind = if !is_valid(&with(&sample, &key, Value::Null)) {
            Key::Required
        } else if rows.iter().any(|row| mistyped(&row)) {
            Key::Strict
        } else {
            Key::Optional
        };
        (key, kind)
    });
    keys.collect()
}

fn without_columns(row: &EventRow) -> EventRow {
    EventRow {
        payload: row.payload.clone(),
        ..EventRow::default()
    }
}

fn all_keys() -> Vec<String> {
    let all = EventType::ALL.iter().flat_map(|known| keys(*known));
    let all: BTreeSet<_> = all.map(|(key, _)| key.clone()).collect();
    all.into_iter().collect()
}

fn types() -> impl Strategy<Value = EventType> {
    select(EventType::ALL.to_vec())
}

fn formats() -> impl Strategy<Value = BodyFormat> {
    select(vec![BodyFormat::Plain, BodyFormat::Markdown])
}

fn identifiers() -> impl Strategy<Value = Uuid> {
    select(vec![
        ADA,
        CHIARA,
        QUAYSIDE,
        HARBOR,
        APPRAISAL,
        CHECKLIST,
        KICKOFF,
        Uuid::nil(),
    ])
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "view", "edit", "project", "borrower", "", " ", "\u{202e}", "\u{200b}"
        ])
        .prop_map(str::to_owned),
        Just(HOSTILE.to_owned()),
        Just(HOSTILE.repeat(300)),
        Just(format!("see @[Cy* Young](user:{ADA}) ").repeat(40)),
        r"[ -~\n\t]{0,60}",
        r"\PC{0,200}",
        any::<String>(),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_i64..=100).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        identifiers().prop_map(|id| json!(id)),
        texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        let changes = select(vec!["timeChanged", "participantsChanged", "titleChanged"]);
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(changes.prop_map(str::to_owned), inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn payloads() -> impl Strategy<Value = Option<Value>> {
    let keys = all_keys();
    let most = keys.len();
    let object = btree_map(select(keys), values(), 0..most)
        .prop_map(|map| Value::Object(map.into_iter().collect()));
    prop_oneof![1 => Just(None), 1 => values().prop_map(Some), 8 => object.prop_map(Some)]
}

fn rows() -> impl Strategy<Value = EventRow> {
    let id = || option::weighted(0.9, identifiers());
    (id(), id(), id(), id(), id(), id(), payloads()).prop_map(
        |(actor_id, project_id, org_id, resource_id, thread_id, meeting_id, payload)| EventRow {
            actor_id,
            project_id,
            org_id,
            resource_id,
            thread_id,
            meeting_id,
            payload,
            ..EventRow::default()
        },
    )
}

/// The row with what the type requires, so that it gets as far as its plans.
fn complete(event_type: EventType, row: EventRow) -> EventRow {
    let sample = sample(event_type);
    let required = sample.payload.unwrap_or_default();
    let mut payload = match row.payload {
        Some(Value::Object(payload)) => payload,
        _ => Map::new(),
    };
    for (key, kind) in keys(event_type) {
        match kind {
            Key::Required => payload.insert(key.clone(), required[key].clone()),
            // Choices are never guessed at.
            Key::Strict => payload.remove(key),
            Key::Optional => None,
        };
    }
    // Otherwise it may stand for a column, and is then required.
    payload.retain(|key, _| !key.ends_with("_id") || required.get(key).is_some());
    EventRow {
        project_id: row.project_id.or(sample.project_id),
        org_id: row.org_id.or(sample.org_id),
        actor_id: row.actor_id.or(sample.actor_id),
        resource_id: row.resource_id.or(sample.resource_id),
        thread_id: row.thread_id.or(sample.thread_id),
        meeting_id: row.meeting_id.or(sample.meeting_id),
        payload: Some(payload.into()),
        ..row
    }
}

fn hostile_names(body_format: BodyFormat) -> Names {
    let mut names = names(Rendering::default());
    let tables = [
        &mut names.projects,
        &mut names.orgs,
        &mut names.resources,
        &mut names.threads,
        &mut names.meetings,
    ];
    names.rendering.body_format = body_format;
    for name in tables.into_iter().flat_map(|table| table.values_mut()) {
        *name = HOSTILE.repeat(9);
    }
    for person in names.people.values_mut() {
        person.full_name = Some(HOSTILE.repeat(9));
    }
    names
}

fn plans(
    event_type: EventType,
    row: &EventRow,
    body_format: BodyFormat,
) -> Result<Vec<Plan>, InvalidEvent> {
    let event = event_type.decode(row)?;
    let mut lookups = Lookups::default();
    event.lookups(&mut lookups);
    let all = hostile_names(body_format);
    let names = looked_up(&all, &lookups);
    let everything = event.plan(&all);
    assert_eq!(everything, event.plan(&names), "not lookups");
    let announcement = event.announce(&all);
    assert_eq!(announcement, event.announce(&names), "not lookups");
    assert_eq!(announcement.is_some(), event_type.is_operator());
    if let Some(Announcement { message, .. }) = announcement {
        check_title(&message.title);
        for field in &message.fields {
            assert_eq!(text::plain(&field.value), field.value);
        }
        for line in message.text.lines() {
            assert_eq!(text::plain(line), line);
        }
    }
    Ok(everything)
}

/// Fails on anything that a recipient could take for the application's own text or follow.
fn check_body(body: &str, body_format: BodyFormat) {
    match body_format {
        BodyFormat::Plain => check_plain(body),
        BodyFormat::Markdown => check_markdown(body),
    }
}

/// Fails on control and direction characters, and where bold begins or ends but at the handler's
/// own marks.
fn check_plain(body: &str) {
    for line in body.lines() {
        assert_eq!(text::line(line), line, "in {body}");
    }
    let marks = body.matches("**").count();
    assert!(marks.is_multiple_of(2), "unbalanced in {body}");
    assert!(!body.contains("***"), "ambiguous in {body}");
}

fn check_markdown(body: &str) {
    for event in Parser::new_ext(body, Options::all() - Options::ENABLE_SMART_PUNCTUATION) {
        let harmless = matches!(
            event,
            Event::Start(Tag::Paragraph | Tag::Strong)
                | Event::End(_)
                | Event::Text(_)
                | Event::HardBreak
        );
        assert!(harmless, "{event:?} in {body}");
    }
    let unescaped = |mark| {
        body.match_indices(mark)
            .any(|(at, _)| !body[..at].ends_with('\\'))
    };
    assert!(
        !unescaped("@") && !unescaped("://"),
        "autolink or mention in {body}"
    );
    assert!(
        !body.replace("{{meeting_time}}", "").contains("{{"),
        "placeholder in {body}"
    );
}

fn check_title(title: &str) {
    assert!(title.chars().count() <= TITLE_MAX, "too long: {title}");
    assert_eq!(text::plain(title), title, "not one line, or a mention");
    assert!(
        !title.contains(['\u{202e}', '\u{200b}']),
        "disguised: {title}"
    );
}

fn check(plan: &Plan, body_format: BodyFormat) {
    match &plan.in_app {
        InApp::None => {}
        InApp::Each(message) => {
            check_title(&message.title);
            check_body(message.body.as_deref().unwrap(), body_format);
            assert!(message.payload["type"].is_string());
        }
        InApp::Coalesced { message, .. } => {
            check_title(&format!("{}{}", i32::MAX, message.title));
            let body = message.body.as_deref().unwrap();
            check_body(&format!("{}{body}", i32::MAX), body_format);
        }
    }
    if let Some(email) = &plan.email {
        check_title(&email.subject);
        assert!(email.body_data["link_url"].is_string());
    }
}

proptest! {
    #[test]
    fn plans_or_a_named_key(event_type in types(), row in rows(), format in formats()) {
        match plans(event_type, &row, format) {
            Ok(plans) => plans.iter().for_each(|plan| check(plan, format)),
            Err(error) => {
                let text = error.to_string();
                prop_assert!(text.contains(event_type.name()) && text.contains(&error.key));
            }
        }
    }

    #[test]
    fn plans_from_whatever_is_optional(event_type in types(), row in rows(), format in formats()) {
        let plans = plans(event_type, &complete(event_type, row), format);
        prop_assert!(plans.is_ok(), "{:?}", plans);
        plans.iter().flatten().for_each(|plan| check(plan, format));
    }
}

#[test]
fn samples_have_effects_and_the_names_that_they_need() {
    for event_type in EventType::ALL.iter().copied() {
        for row in event_type.samples() {
            assert_eq!(EventType::from_name(&row.event_type), Some(event_type));
            let event = event_type.decode(&row).expect("a valid sample");
            let mut lookups = Lookups::default();
            event.lookups(&mut lookups);
            let names = looked_up(&names(Rendering::default()), &lookups);
            let plans = event.plan(&names);
            assert!(!plans.is_empty(), "{row:?}");
            let has_email = plans.iter().any(|plan| plan.email.is_some());
            assert!(has_email || event_type.mail().is_none(), "{row:?}");
        }
    }
}

#[test]
fn missing_and_mistyped_keys_are_named() {
    for event_type in EventType::ALL.iter().copied() {
        let sample = sample(event_type);
        let problem = |row: &EventRow| {
            let error = event_type.decode(row).expect_err("invalid");
            assert_eq!(error.event_type, event_type.name());
            error.to_string()
        };
        let required = keys(event_type)
            .iter()
            .filter(|(_, kind)| *kind == Key::Required);
        for (key, _) in required {
            let missing = problem(&with(&sample, key, Value::Null));
            assert!(
                missing.ends_with(&format!("payload.{key} is required")),
                "{missing}"
            );
            let wrong = problem(&with(&sample, key, mistyped()));
            assert!(
                wrong.contains(&format!("payload.{key} must be ")),
                "{wrong}"
            );
        }
    }
}

#[test]
fn names_of_types_round_trip() {
    for event_type in EventType::ALL.iter().copied() {
        for spelling in event_type.spellings() {
            assert_eq!(EventType::from_name(&spelling), Some(event_type));
        }
        if event_type.is_operator() {
            let dotted = event_type.alias().expect("a name with dots");
            assert!(
                event_type.spellings().iter().any(|name| name == dotted),
                "{dotted}"
            );
        }
    }
    assert_eq!(EventType::from_name("chat_message"), None);
    assert_eq!(EventType::from_name("chat.message.sent"), None);
    assert_eq!(
        EventType::NodeHealthDegraded.spellings().join(" "),
        "node_health_degraded node.health_degraded node_health.degraded node.health.degraded"
    );
}
