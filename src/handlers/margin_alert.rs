//! The margin of a person's account is at risk: they are notified, and the owners of their
//! organisation. Severity: its own, else warning. With an `alert_id` it is sent once a day.

use serde_json::{Value, json};

use super::draft::object;
use super::entity::Entity;
use super::operator::{OperatorContext, OperatorEvent};
use super::operator_message::OperatorMessage;
use super::payload::payload;
use super::sample::{self, CHIARA, Column, HARBOR};
use super::{Names, alert};
use crate::domain::announcement::{DedupKey, Severity};
use crate::domain::event::EventRow;
use crate::domain::payload::Id;
use crate::domain::quantity::Quantity;

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
        sample::event(
            [Column::Org(HARBOR)],
            json!({
                "user_id": CHIARA,
                "health_score": "1.08",
                "severity": "critical",
                "message": "Add collateral, or positions will be closed.",
            }),
        )
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
        let day = self
            .alert_id
            .as_ref()
            .map(|id| self.context.once_a_day(&id.0));
        let content = alert::content(Some(&severity), Some(message), self.person.id);
        day.into_iter().chain(content).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType::MarginAlert as IT;
    use super::super::fixture::planned_with;

    #[test]
    fn message() {
        insta::assert_snapshot!(planned_with(IT, json!({})), @r#"
        critical: Margin alert: the health score is 1.08
          Add collateral, or positions will be closed.
          User: Chiara Rossi
          Organisation: Harbor Homes
          {alert_id: null, health_score: 1.08, message: "Add collateral, or positions will be closed.", org_id: "HARBOR", org_name: "Harbor Homes", project_id: null, project_name: null, user_id: "CHIARA"}
          dedup content:310357255f3058ab2720027660bad7456f7f67a21afc790cc4f…
        to endpoints, org HARBOR
        to User(CHIARA), in app, e-mail Immediate
        to OrgOwners { org_id: HARBOR, except: Some(CHIARA) }, in app, e-mail Immediate
        "#);
    }

    #[test]
    fn only_an_alert_with_an_identifier_is_sent_once_a_day() {
        let planned = planned_with(IT, json!({"alert_id": 7, "severity": 3, "message": null}));
        insta::assert_snapshot!(planned, @r#"
        warning: Margin alert: the health score is 1.08
          User: Chiara Rossi
          Organisation: Harbor Homes
          {alert_id: "7", health_score: 1.08, message: null, org_id: "HARBOR", org_name: "Harbor Homes", project_id: null, project_name: null, user_id: "CHIARA"}
          dedup day:margin_alert:7:1970-01-01
          dedup content:9631daaab7c878aaf222ea6672f8bb684c1ef2d66cb4cbedf3d…
        to endpoints, org HARBOR
        to User(CHIARA), once margin_alert:7:1970-01-01, in app, e-mail Immediate
        to OrgOwners { org_id: HARBOR, except: Some(CHIARA) }, once margin_alert:7:1970-01-01, in app, e-mail Immediate
        "#);
    }
}
