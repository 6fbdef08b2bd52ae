//! The margin of a person's account is at risk: they are notified, and the owners of their
//! organisation. Severity: its own, else warning. With an `alert_id` it is sent once a day.

use super::alert;
use super::prelude::*;
use super::sample::{CHIARA, HARBOR};

payload! {
    pub(super) struct MarginAlert {
        context: OperatorContext,
        person: Entity = |fields| {
            let id = fields.required("user_id")?;
            Ok(Entity::person(fields, Some(id), &["user_name"]))
        },
        health_score: Quantity,
        severity: Option<String>,
        message: Option<String>,
        alert_id: Option<Id>,
    }
}

impl MarginAlert {
    fn severity(&self) -> Severity {
        alert::severity(self.severity.as_deref())
    }
}

impl OperatorEvent for MarginAlert {
    const DOTTED: &'static str = "margin.alert";

    fn sample() -> EventRow {
        let payload = json!({
            "user_id": CHIARA,
            "health_score": "1.08",
            "severity": "critical",
            "message": "Add collateral, or positions will be closed.",
        });
        sample::event([HARBOR], payload)
    }

    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn message(&self, names: &Names) -> OperatorMessage {
        let data = object! {
            "alert_id": self.alert_id,
            "user_id": self.person.id,
            "health_score": self.health_score.number(),
            "message": self.message,
        };
        OperatorMessage::new(names, self.severity(), data, |style| {
            let score = style.name(self.health_score.to_string());
            format!("Margin alert: the health score is {score}")
        })
        .text(self.message.as_deref())
    }

    fn person(&self) -> Option<&Entity> {
        Some(&self.person)
    }

    /// The same message of the same severity about the same person is sent once a day.
    fn dedup_keys(&self) -> Vec<DedupKey> {
        let severity = Value::from(self.severity().name());
        // Without a text the score is what it says.
        let score = self.health_score.to_string();
        let message = self.message.as_ref().unwrap_or(&score);
        let alert_id = self.alert_id.as_ref();
        let day = alert_id.map(|id| self.context.once_a_day(&id.0));
        let content = alert::content(Some(&severity), Some(message), self.person.id);
        day.into_iter().chain(content).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventType::MarginAlert as IT;
    use super::super::fixture::planned_with;
    use super::json;

    #[test]
    fn an_alert_with_an_identifier_is_sent_once_a_day() {
        let planned = planned_with(IT, json!({"alert_id": 7, "severity": 3}));
        let lines = planned.lines();
        let effects = lines.filter(|line| line.starts_with("to ") || line.contains("dedup"));
        insta::assert_snapshot!(effects.collect::<Vec<_>>().join("\n"), @"
          dedup day:margin_alert:7:1970-01-01
          dedup content:52a687c80342442b7d9bf547e3c859b9a8636e7a1652407edf6…
        to endpoints, org HARBOR
        to User(CHIARA), once margin_alert:7:1970-01-01, in app, e-mail Immediate
        to OrgOwners { org_id: HARBOR, except: Some(CHIARA) }, once margin_alert:7:1970-01-01, in app, e-mail Immediate
        ");
    }

    #[test]
    fn without_a_text_the_score_is_the_content() {
        let [one, other] = [1.08, 1.09].map(|score| {
            let planned = planned_with(IT, json!({"message": null, "health_score": score}));
            let key = planned.lines().find(|line| line.contains("dedup content:"));
            key.expect("a key").to_owned()
        });
        assert_ne!(one, other);
    }
}
