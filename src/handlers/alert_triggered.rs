//! An alert that somebody has set up was triggered: he is notified by the channels that it names, and so
//! do the owners of the organisation that it names.
//!
//! Optional keys: `user_id` (of another kind it fails the event), `name`, `message`,
//! `condition_json` (JSON, or a text that holds it), `severity` (else a warning), `user_name`, and
//! those of [`ChannelChoice`] and of an [`OperatorContext`]. Nobody is told of an alert more than once a day; the
//! same message because of the same condition about the same person is not told again within a day.

use serde_json::Value;

use super::channel_choice::ChannelChoice;
use super::draft::object;
use super::operator::{OperatorContext, OperatorEvent};
use super::operator_message::OperatorMessage;
use super::{Names, alert};
use crate::domain::announcement::Severity;
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct AlertTriggered {
    context: OperatorContext,
    alert_id: String,
    name: Option<String>,
    message: Option<String>,
    condition: Option<Value>,
    severity: Severity,
}

impl AlertTriggered {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        let alert_id = fields.required_id("alert_id")?;
        let context = OperatorContext::about_person(fields)?;
        let (name, message) = (fields.text("name"), fields.text("message"));
        let condition = fields.json("condition_json").map(condition);
        let user_id = context.user_id();
        let content = alert::content(condition.as_ref(), message.or(name), user_id);
        let day = alert::day(fields, &alert_id);
        let dedup_keys = [day].into_iter().chain(content).collect();
        Ok(Self {
            context: context
                .guarded(dedup_keys)
                .by(ChannelChoice::chosen(fields)?),
            alert_id,
            name: name.map(str::to_owned),
            message: message.map(str::to_owned),
            condition,
            severity: alert::severity(fields),
        })
    }
}

/// As JSON, however it was written.
fn condition(value: &Value) -> Value {
    let written = value
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok());
    written.unwrap_or_else(|| value.clone())
}

impl OperatorEvent for AlertTriggered {
    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn message(&self, names: &Names) -> OperatorMessage {
        let data = object! {
            "alert_id": self.alert_id,
            "user_id": self.context.user_id(),
            "name": self.name,
            "message": self.message,
            "condition": self.condition,
        };
        let condition = self.condition.as_ref().map(alert::condition);
        OperatorMessage::new(
            names.body_format(),
            self.severity,
            data,
            |style| match &self.name {
                Some(name) => format!("Alert {} was triggered", style.name(name)),
                None => format!("Alert {} was triggered", style.name(&self.alert_id)),
            },
        )
        .saying(self.message.as_deref())
        .with("Condition", condition.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::EventType;
    use super::super::testing::{BO, HOSTILE, planned, planned_without_columns};

    const IT: EventType = EventType::AlertTriggered;

    #[test]
    fn the_person_and_the_owners_hear_of_it() {
        insta::assert_snapshot!(planned(IT, json!({
            "alert_id": "a-1",
            "user_id": BO,
            "name": "CPU",
            "message": HOSTILE,
            "condition_json": {"op": ">", "metric": "cpu", "value": 90},
            "severity": "high",
        })), @r#"
        to User(BO), project ATLAS, once alert_triggered:a-1:1970-01-01
          app each: Alert CPU was triggered
            Alert **CPU** was triggered.

        [Win](https://evil.example) <img src=x> @all now ``
        # !

        Condition: metric cpu, op >, value 90
        Organisation: Acme
        Project: Atlas
            /project/workspace/ATLAS
            {alert_id: "a-1", condition: {"metric":"cpu","op":">","value":90}, message: "HOSTILE", name: "CPU", org_id: "ACME", org_name: "Acme", project_id: "ATLAS", project_name: "Atlas", severity: "critical", type: "alert_triggered", user_id: "BO"}
          mail Immediate: Alert CPU was triggered (ATLAS Atlas)
            {fields: [{"name":"Condition","value":"metric cpu, op >, value 90"},{"name":"Organisation","value":"Acme"},{"name":"Project","value":"Atlas"}], guards: ["day:alert_triggered:a-1:1970-01-01","content:5bd8d2932a909317cef85c5ecaf5b157bfe2cee8b14d079b64b6532dfbd872eb"], link_url: "/project/workspace/ATLAS", text: "[Win](https://evil.example) <img src=x> @all **now** ``\n# !"}
            without alert_id
            without condition
            without message
            without name
            without user_id
        to OrgOwners { org_id: ACME, except: Some(BO) }, project ATLAS, once alert_triggered:a-1:1970-01-01
          app each: Alert CPU was triggered
            Alert **CPU** was triggered.

        [Win](https://evil.example) <img src=x> @all now ``
        # !

        Condition: metric cpu, op >, value 90
        User: bo@example.com
        Organisation: Acme
        Project: Atlas
            /project/workspace/ATLAS
            {alert_id: "a-1", condition: {"metric":"cpu","op":">","value":90}, message: "HOSTILE", name: "CPU", org_id: "ACME", org_name: "Acme", project_id: "ATLAS", project_name: "Atlas", severity: "critical", type: "alert_triggered", user_id: "BO"}
          mail Immediate: Alert CPU was triggered (ATLAS Atlas)
            {fields: [{"name":"Condition","value":"metric cpu, op >, value 90"},{"name":"User","value":"bo@example.com"},{"name":"Organisation","value":"Acme"},…, guards: ["day:alert_triggered:a-1:1970-01-01","content:5bd8d2932a909317cef85c5ecaf5b157bfe2cee8b14d079b64b6532dfbd872eb"], link_url: "/project/workspace/ATLAS", text: "[Win](https://evil.example) <img src=x> @all **now** ``\n# !"}
            without alert_id
            without condition
            without message
            without name
            without user_id
        to endpoints, critical, org ACME, project ATLAS: Alert CPU was triggered
            [Win](https://evil.example) <img src=x> @all **now** ``
            # !
            Condition: metric cpu, op >, value 90
            User: bo@example.com
            Organisation: Acme
            Project: Atlas
            /project/workspace/ATLAS
            {alert_id: "a-1", condition: {"metric":"cpu","op":">","value":90}, message: "HOSTILE", name: "CPU", org_id: "ACME", org_name: "Acme", project_id: "ATLAS", project_name: "Atlas", user_id: "BO"}
            guard day:alert_triggered:a-1:1970-01-01
            guard content:5bd8d2932a909317cef85c5ecaf5b157bfe2cee8b14d079b64b…
        "#);
    }

    #[test]
    fn the_ways_are_chosen() {
        insta::assert_snapshot!(planned_without_columns(IT, json!({
            "alert_id": 1,
            "user_id": BO,
            "channels": {"email": true, "sms": true, "slack": true},
        })), @r#"
        to User(BO), once alert_triggered:1:1970-01-01
          mail Immediate: Alert 1 was triggered ( )
            {fields: [], guards: ["day:alert_triggered:1:1970-01-01"], link_url: "/dashboard", org_id: null, org_name: null, project_id: null, project_name: null, severity: "warning", text: null, type: "alert_triggered"}
        to endpoints, warning, only [Email, Sms, Slack], by phone BO: Alert 1 was triggered
            User: bo@example.com
            /dashboard
            {alert_id: "1", condition: null, message: null, name: null, org_id: null, org_name: null, project_id: null, project_name: null, user_id: "BO"}
            guard day:alert_triggered:1:1970-01-01
        "#);
        insta::assert_snapshot!(planned_without_columns(IT, json!({
            "alert_id": 1,
            "user_id": BO,
            "notify_email": false,
            "notify_inapp": false,
        })), @r#"
        to endpoints, warning: Alert 1 was triggered
            User: bo@example.com
            /dashboard
            {alert_id: "1", condition: null, message: null, name: null, org_id: null, org_name: null, project_id: null, project_name: null, user_id: "BO"}
            guard day:alert_triggered:1:1970-01-01
        "#);
    }

    #[test]
    fn nobody_may_be_named() {
        insta::assert_snapshot!(planned_without_columns(IT, json!({"alert_id": "a-1", "channels": {"sms": true}})), @r#"
        to endpoints, warning, only [Sms]: Alert a-1 was triggered
            /dashboard
            {alert_id: "a-1", condition: null, message: null, name: null, org_id: null, org_name: null, project_id: null, project_name: null, user_id: null}
            guard day:alert_triggered:a-1:1970-01-01
        "#);
    }

    /// The dedup_keys of an event, without the day's.
    fn content(payload: Value) -> String {
        let told = planned_without_columns(IT, payload);
        let line = told.lines().find(|line| line.contains("guard content"));
        line.unwrap_or("none").trim().to_owned()
    }

    #[test]
    fn the_content_is_condition_message_and_person() {
        let same = [
            json!({"alert_id": 1, "message": "Hot", "condition_json": {"a": 1, "b": [2]}}),
            json!({"alert_id": 2, "message": "Hot", "condition_json": "{\"b\": [2], \"a\": 1}", "name": "Other"}),
            json!({"alert_id": 3, "message": "Hot", "condition_json": {"b": [2], "a": 1}, "severity": "low"}),
        ]
        .map(content);
        assert!(same.iter().all(|hash| *hash == same[0]), "{same:?}");
        let others = [
            json!({"alert_id": 1, "message": "Cold", "condition_json": {"a": 1, "b": [2]}}),
            json!({"alert_id": 1, "message": "Hot", "condition_json": {"a": 1, "b": [3]}}),
            json!({"alert_id": 1, "message": "Hot"}),
            json!({"alert_id": 1, "condition_json": {"a": 1, "b": [2]}}),
            json!({"alert_id": 1, "user_id": BO, "message": "Hot", "condition_json": {"a": 1, "b": [2]}}),
        ]
        .map(content);
        assert!(!others.contains(&same[0]), "{others:?}");
        assert_eq!(content(json!({"alert_id": 1})), "none");
    }

    #[test]
    fn required_keys() {
        let errors = [
            json!({}),
            json!({"alert_id": []}),
            json!({"alert_id": 1, "user_id": "bo"}),
            json!({"alert_id": 1, "channels": true}),
            json!({"alert_id": 1, "notify_email": "no"}),
        ];
        insta::assert_snapshot!(errors.map(|payload| planned(IT, payload)).join("\n"), @"
        invalid alert_triggered event: payload.alert_id is required
        invalid alert_triggered event: payload.alert_id must be a short text or a whole number
        invalid alert_triggered event: payload.user_id must be a UUID
        invalid alert_triggered event: payload.channels must be an object of true and false
        invalid alert_triggered event: payload.notify_email must be true or false
        ");
    }
}
