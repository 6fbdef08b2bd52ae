//! What holds for every event type, whatever the application writes.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use pulldown_cmark::{Event, Options, Parser, Tag};
use serde_json::{Value, json};
use uuid::Uuid;

use super::testing::{
    ACME, ADA, ATLAS, BO, BUDGET, CY, GONE, HOSTILE, KICKOFF, REPORT, looked_up, world,
};
use super::{EventType, Lookups, Names};
use crate::domain::announcement::Announcement;
use crate::domain::body::BodyFormat;
use crate::domain::event::{EventRow, InvalidEvent};
use crate::domain::plan::{InApp, Plan};
use crate::domain::text::{self, TITLE_MAX};

/// Every payload key that a handler reads.
const KEYS: [&str; 65] = [
    "actor_name",
    "affected_user_id",
    "alert_id",
    "amount",
    "average_cost",
    "billing_plan",
    "changes",
    "channels",
    "completion_percent",
    "condition_json",
    "currency",
    "current_cost",
    "duration",
    "email",
    "fileName",
    "full_content",
    "gpu",
    "health_score",
    "invited_user_id",
    "issues",
    "limit",
    "meeting_link",
    "meeting_title",
    "mentioned_user_ids",
    "message",
    "message_content",
    "model",
    "name",
    "new_member_email",
    "new_member_id",
    "new_member_name",
    "new_permission",
    "node_id",
    "notify_email",
    "notify_inapp",
    "nudge_tier",
    "old_permission",
    "org_id",
    "org_name",
    "organizer_id",
    "organizer_name",
    "payment_id",
    "preview",
    "price",
    "project_id",
    "project_name",
    "provider",
    "reason",
    "region",
    "reminder_minutes",
    "resource_id",
    "resource_name",
    "resume_type",
    "severity",
    "spot",
    "start_time",
    "tenant_id",
    "tenant_name",
    "threshold",
    "threshold_percent",
    "time_remaining",
    "unread_count",
    "usage",
    "user_id",
    "user_name",
];

fn types() -> impl Strategy<Value = EventType> {
    select(EventType::ALL.to_vec())
}

fn formats() -> impl Strategy<Value = BodyFormat> {
    select(vec![BodyFormat::Plain, BodyFormat::Markdown])
}

fn identifiers() -> impl Strategy<Value = Uuid> {
    select(vec![
        ADA, BO, CY, ATLAS, ACME, REPORT, BUDGET, KICKOFF, GONE,
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
        Just(format!("see @[Cy* Young](user:{CY}) ").repeat(40)),
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
    let object = btree_map(select(KEYS.to_vec()), values(), 0..KEYS.len()).prop_map(|map| {
        let map = map.into_iter().map(|(key, value)| (key.to_owned(), value));
        Value::Object(map.collect())
    });
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

/// The same row with every required key, so that each type gets as far as its plans.
fn complete(event_type: EventType, mut row: EventRow) -> EventRow {
    row.project_id.get_or_insert(ATLAS);
    row.org_id.get_or_insert(ACME);
    row.resource_id = match event_type {
        EventType::DocumentUploaded => row.resource_id,
        _ => row.resource_id.or(Some(REPORT)),
    };
    row.thread_id.get_or_insert(BUDGET);
    row.meeting_id.get_or_insert(KICKOFF);
    let mut payload = row
        .payload
        .filter(Value::is_object)
        .unwrap_or_else(|| json!({}));
    for key in [
        "user_id",
        "invited_user_id",
        "affected_user_id",
        "new_member_id",
    ] {
        payload[key] = json!(BO);
    }
    payload["resume_type"] = json!("borrower");
    payload["completion_percent"] = json!(0);
    payload["nudge_tier"] = json!(1);
    for key in ["payment_id", "tenant_id", "node_id", "alert_id"] {
        payload[key] = json!("x-1");
    }
    for key in [
        "amount",
        "current_cost",
        "average_cost",
        "health_score",
        "usage",
        "limit",
    ] {
        payload[key] = json!("12.50");
    }
    payload["name"] = json!(HOSTILE);
    // Choices are never guessed at.
    for key in ["channels", "notify_email", "notify_inapp"] {
        payload[key] = json!(null);
    }
    row.payload = Some(payload);
    row
}

fn hostile_world(body_format: BodyFormat) -> Names {
    let mut names = world();
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
        person.full_name = person.full_name.as_ref().map(|_| HOSTILE.repeat(9));
    }
    names
        .meeting_times
        .insert(KICKOFF, chrono::DateTime::UNIX_EPOCH);
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
    let all = hostile_world(body_format);
    let names = looked_up(&all, &lookups);
    let everything = event.plan(&all);
    assert_eq!(everything, event.plan(&names), "not lookups");
    let announcement = event.announce(&all);
    assert_eq!(announcement, event.announce(&names), "not lookups");
    assert_eq!(announcement.is_some(), event_type.dotted().is_some());
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

/// Fails on anything that a reader could take for the application's own words or follow.
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
fn names_of_types_round_trip() {
    assert_eq!(EventType::ALL.len(), 23);
    for event_type in EventType::ALL.iter().copied() {
        assert_eq!(EventType::from_name(event_type.name()), Some(event_type));
        for spelling in event_type.spellings() {
            assert_eq!(EventType::from_name(&spelling), Some(event_type));
        }
    }
    assert_eq!(EventType::from_name("chat_message"), None);
    assert_eq!(EventType::from_name("chat.message.sent"), None);
}

#[test]
fn operator_events_have_dotted_names() {
    let operator: Vec<_> = EventType::ALL
        .iter()
        .filter_map(|event_type| Some((event_type.spellings(), event_type.dotted()?)))
        .collect();
    assert_eq!(operator.len(), 10);
    for (spellings, dotted) in &operator {
        assert!(spellings.iter().any(|name| name == dotted), "{dotted}");
    }
    assert_eq!(
        EventType::NodeHealthDegraded.spellings().join(" "),
        "node_health_degraded node.health_degraded node_health.degraded node.health.degraded"
    );
    assert_eq!(EventType::InviteAccepted.spellings(), ["invite_accepted"]);
}

/// The table of required keys: each is missed, and only each.
#[test]
fn required_keys() {
    let required: Vec<_> = EventType::ALL
        .iter()
        .map(|event_type| {
            let mut row = EventRow::default();
            let mut payload = json!({});
            let mut keys = Vec::new();
            while let Err(InvalidEvent { key, .. }) = event_type.decode(&EventRow {
                payload: Some(payload.clone()),
                ..row.clone()
            }) {
                let last = key.rsplit(' ').next().unwrap();
                match last.strip_prefix("payload.") {
                    Some("resume_type") => payload["resume_type"] = json!("project"),
                    Some(
                        key @ ("completion_percent" | "nudge_tier" | "amount" | "health_score"
                        | "current_cost" | "average_cost" | "usage" | "limit"),
                    ) => payload[key] = json!(0),
                    Some(key) => payload[key] = json!(ADA),
                    None => match last {
                        "resource_id" => row.resource_id = Some(REPORT),
                        "project_id" => row.project_id = Some(ATLAS),
                        "thread_id" => row.thread_id = Some(BUDGET),
                        _ => row.meeting_id = Some(KICKOFF),
                    },
                }
                assert!(
                    !keys.contains(&key),
                    "{key} does not satisfy {}",
                    event_type.name()
                );
                keys.push(key);
            }
            format!("{}: {}", event_type.name(), keys.join(", "))
        })
        .collect();
    insta::assert_snapshot!(required.join("\n"), @"
    document_uploaded: project_id or resource_id
    chat_message_sent: thread_id
    thread_unread_stale: thread_id, payload.user_id
    meeting_invited: meeting_id, payload.invited_user_id
    meeting_updated: meeting_id
    meeting_reminder: meeting_id, payload.user_id
    resume_incomplete_nudge: project_id, payload.user_id, payload.resume_type, payload.completion_percent, payload.nudge_tier
    invite_accepted: org_id or payload.org_id, actor_id or payload.new_member_id
    project_access_granted: project_id or payload.project_id, payload.affected_user_id
    project_access_changed: project_id or payload.project_id, payload.affected_user_id
    project_access_revoked: payload.affected_user_id
    document_permission_granted: payload.affected_user_id, resource_id or payload.resource_id
    document_permission_changed: payload.affected_user_id, resource_id or payload.resource_id
    tenant_created: payload.name
    payment_succeeded: payload.amount, payload.payment_id
    payment_failed: payload.tenant_id, payload.amount
    node_launched: payload.node_id
    node_terminated: payload.node_id
    node_health_degraded: payload.node_id, payload.health_score
    cost_anomaly_detected: payload.current_cost, payload.average_cost
    ratelimit_threshold_reached: payload.usage, payload.limit
    margin_alert: payload.user_id, payload.health_score
    alert_triggered: payload.alert_id
    ");
}
