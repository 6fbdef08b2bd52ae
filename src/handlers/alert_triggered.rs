//! An alert that somebody has set up was triggered: the person it names is notified by the channels
//! that it names, and so are the owners of its organisation. Severity: its own, else warning. It is
//! sent once a day, and the same message because of the same condition about the same person once
//! within 24 hours.

use super::alert;
use super::channel_choice::ChannelChoice;
use super::prelude::*;
use super::sample::{CHIARA, QUAYSIDE};
use crate::domain::payload::Any;

payload! {
    pub(super) struct AlertTriggered {
        context: OperatorContext,
        alert_id: Id,
        person: Entity = |fields| {
            let id = fields.strict("user_id")?;
            Ok(Entity::person(fields, id, &["user_name"]))
        },
        channels: ChannelChoice,
        name: Option<String>,
        message: Option<String>,
        condition_json: Option<Any>,
        severity: Option<String>,
    }
}

impl AlertTriggered {
    /// The condition, which may be a text that holds JSON.
    fn condition(&self) -> Option<Value> {
        let Any(given) = self.condition_json.as_ref()?;
        let written = given
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok());
        Some(written.unwrap_or_else(|| given.clone()))
    }
}

impl OperatorEvent for AlertTriggered {
    const DOTTED: &'static str = "alert.triggered";

    fn sample() -> EventRow {
        let payload = json!({
            "alert_id": "alert-204",
            "user_id": CHIARA,
            "name": "Occupancy below 90%",
            "message": "Quayside Lofts is at 87.5%.",
            "condition_json": {"metric": "occupancy", "below": 90},
            "channels": {"inapp": true, "email": true, "sms": true, "slack": true},
        });
        sample::event([QUAYSIDE], payload)
    }

    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn message(&self, names: &Names) -> OperatorMessage {
        let condition = self.condition();
        let data = object! {
            "alert_id": self.alert_id,
            "user_id": self.person.id,
            "name": self.name,
            "message": self.message,
            "condition": condition,
        };
        let severity = alert::severity(self.severity.as_deref());
        OperatorMessage::new(names, severity, data, |style| {
            let name = self.name.as_ref().unwrap_or(&self.alert_id.0);
            format!("Alert {} was triggered", style.name(name))
        })
        .text(self.message.as_deref())
        .with("Condition", condition.as_ref().map(alert::condition))
    }

    fn person(&self) -> Option<&Entity> {
        Some(&self.person)
    }

    fn channels(&self) -> ChannelChoice {
        self.channels.clone()
    }

    fn dedup_keys(&self) -> Vec<DedupKey> {
        let message = self.message.as_deref().or(self.name.as_deref());
        let content = alert::content(self.condition().as_ref(), message, self.person.id);
        let day = self.context.once_a_day(&self.alert_id.0);
        [day].into_iter().chain(content).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventType::AlertTriggered as IT;
    use super::super::fixture::planned_with;
    use super::json;

    #[test]
    fn the_person_and_the_channels_are_a_choice() {
        let choices = [
            json!({"channels": null}),
            json!({"channels": {"email": true, "webhook": true}}),
            json!({"channels": null, "notify_email": false, "notify_inapp": false}),
            json!({"user_id": null}),
        ];
        let effects = choices.map(|payload| {
            let planned = planned_with(IT, payload);
            let effects = planned.lines().filter(|line| line.starts_with("to "));
            effects.collect::<Vec<_>>().join("; ")
        });
        insta::assert_snapshot!(effects.join("\n"), @r#"
        to endpoints, project QUAYSIDE; to User(CHIARA), project QUAYSIDE, once alert_triggered:alert-204:1970-01-01, in app, e-mail Immediate
        to endpoints, project QUAYSIDE, only ["email", "webhook"]; to User(CHIARA), project QUAYSIDE, once alert_triggered:alert-204:1970-01-01, e-mail Immediate
        to endpoints, project QUAYSIDE
        to endpoints, project QUAYSIDE, only ["email", "sms", "slack"]
        "#);
    }

    #[test]
    fn a_condition_may_be_a_text_of_json() {
        let text = json!({"condition_json": r#"{"below": 90, "metric": "occupancy"}"#});
        assert_eq!(planned_with(IT, text), planned_with(IT, json!({})));
    }
}
