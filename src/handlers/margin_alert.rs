//! The margin of somebody's account is at risk: he hears of it, and the owners of his organisation.
//!
//! Optional keys: `severity` (else a warning), `message`, `alert_id`, with which nobody is told more
//! than once a day, `user_name`, and those of an [`OperatorContext`]. The same message of the same severity
//! about the same person is not told again within a day.

use serde_json::Value;

use super::draft::object;
use super::operator::{OperatorContext, OperatorEvent};
use super::operator_message::OperatorMessage;
use super::{Names, alert};
use crate::domain::announcement::Severity;
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::quantity::Quantity;

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct MarginAlert {
    context: OperatorContext,
    health_score: Quantity,
    severity: Severity,
    message: Option<String>,
    alert_id: Option<String>,
}

impl MarginAlert {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        let user_id = fields.required_uuid("user_id")?;
        let health_score = fields.required_quantity("health_score")?;
        let severity = alert::severity(fields);
        let alert_id = fields.id("alert_id");
        let message = fields.text("message");
        let condition = Value::from(severity.name());
        // Without words of its own the score is what it says.
        let said = message.map_or_else(|| health_score.to_string(), str::to_owned);
        let content = alert::content(Some(&condition), Some(&said), Some(user_id));
        let day = alert_id.as_deref().map(|id| alert::day(fields, id));
        let dedup_keys = day.into_iter().chain(content).collect();
        Ok(Self {
            context: OperatorContext::about_person(fields)?.guarded(dedup_keys),
            health_score,
            severity,
            message: message.map(str::to_owned),
            alert_id,
        })
    }
}

impl OperatorEvent for MarginAlert {
    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn message(&self, names: &Names) -> OperatorMessage {
        let data = object! {
            "alert_id": self.alert_id,
            "user_id": self.context.user_id(),
            "health_score": self.health_score.number(),
            "message": self.message,
        };
        OperatorMessage::new(names.body_format(), self.severity, data, |style| {
            let score = style.name(&self.health_score.to_string());
            format!("Margin alert: the health score is {score}")
        })
        .saying(self.message.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{BO, HOSTILE, planned, planned_without_columns};

    const IT: EventType = EventType::MarginAlert;

    #[test]
    fn the_person_and_the_owners_hear_of_it() {
        insta::assert_snapshot!(planned(IT, json!({
            "user_id": BO,
            "health_score": "1.08",
            "severity": "CRITICAL",
            "message": format!("Add funds.\n\n{HOSTILE}"),
            "alert_id": 7,
        })), @r#"
        to User(BO), project ATLAS, once margin_alert:7:1970-01-01
          app each: Margin alert: the health score is 1.08
            Margin alert: the health score is **1.08**.

        Add funds.

        [Win](https://evil.example) <img src=x> @all now ``
        # !

        Organisation: Acme
        Project: Atlas
            /project/workspace/ATLAS
            {alert_id: "7", health_score: 1.08, message: "Add funds.\n\nHOSTILE", org_id: "ACME", org_name: "Acme", project_id: "ATLAS", project_name: "Atlas", severity: "critical", type: "margin_alert", user_id: "BO"}
          mail Immediate: Margin alert: the health score is 1.08 (ATLAS Atlas)
            {fields: [{"name":"Organisation","value":"Acme"},{"name":"Project","value":"Atlas"}], guards: ["day:margin_alert:7:1970-01-01","content:42f9acee3614c6e67f973fbc8e5dccaa3d78945c4596026b8c0fa9df7c10fc86"], link_url: "/project/workspace/ATLAS", text: "Add funds.\n\n[Win](https://evil.example) <img src=x> @all **now** ``\n# !"}
            without alert_id
            without health_score
            without message
            without user_id
        to OrgOwners { org_id: ACME, except: Some(BO) }, project ATLAS, once margin_alert:7:1970-01-01
          app each: Margin alert: the health score is 1.08
            Margin alert: the health score is **1.08**.

        Add funds.

        [Win](https://evil.example) <img src=x> @all now ``
        # !

        User: bo@example.com
        Organisation: Acme
        Project: Atlas
            /project/workspace/ATLAS
            {alert_id: "7", health_score: 1.08, message: "Add funds.\n\nHOSTILE", org_id: "ACME", org_name: "Acme", project_id: "ATLAS", project_name: "Atlas", severity: "critical", type: "margin_alert", user_id: "BO"}
          mail Immediate: Margin alert: the health score is 1.08 (ATLAS Atlas)
            {fields: [{"name":"User","value":"bo@example.com"},{"name":"Organisation","value":"Acme"},{"name":"Project","value":"Atlas"}], guards: ["day:margin_alert:7:1970-01-01","content:42f9acee3614c6e67f973fbc8e5dccaa3d78945c4596026b8c0fa9df7c10fc86"], link_url: "/project/workspace/ATLAS", text: "Add funds.\n\n[Win](https://evil.example) <img src=x> @all **now** ``\n# !"}
            without alert_id
            without health_score
            without message
            without user_id
        to endpoints, critical, org ACME, project ATLAS: Margin alert: the health score is 1.08
            Add funds.

            [Win](https://evil.example) <img src=x> @all **now** ``
            # !
            User: bo@example.com
            Organisation: Acme
            Project: Atlas
            /project/workspace/ATLAS
            {alert_id: "7", health_score: 1.08, message: "Add funds.\n\nHOSTILE", org_id: "ACME", org_name: "Acme", project_id: "ATLAS", project_name: "Atlas", user_id: "BO"}
            guard day:margin_alert:7:1970-01-01
            guard content:42f9acee3614c6e67f973fbc8e5dccaa3d78945c4596026b8c0…
        "#);
    }

    #[test]
    fn without_words() {
        insta::assert_snapshot!(planned_without_columns(IT, json!({"user_id": BO, "health_score": 40, "severity": 3})), @r#"
        to User(BO)
          app each: Margin alert: the health score is 40
            Margin alert: the health score is **40**.
            /dashboard
            {alert_id: null, health_score: 40, message: null, org_id: null, org_name: null, project_id: null, project_name: null, severity: "warning", type: "margin_alert", user_id: "BO"}
          mail Immediate: Margin alert: the health score is 40 ( )
            {fields: [], guards: ["content:bb78f6fcae0a8e000b699803d4a55fb423a0c82a484cb9a1b543c084e83d2ed6"], link_url: "/dashboard", text: null}
            without alert_id
            without health_score
            without message
            without user_id
        to endpoints, warning: Margin alert: the health score is 40
            User: bo@example.com
            /dashboard
            {alert_id: null, health_score: 40, message: null, org_id: null, org_name: null, project_id: null, project_name: null, user_id: "BO"}
            guard content:bb78f6fcae0a8e000b699803d4a55fb423a0c82a484cb9a1b54…
        "#);
    }

    #[test]
    fn required_keys() {
        let errors = [
            json!({"health_score": 1}),
            json!({"user_id": "bo", "health_score": 1}),
            json!({"user_id": BO}),
            json!({"user_id": BO, "health_score": "low"}),
        ];
        insta::assert_snapshot!(errors.map(|payload| planned(IT, payload)).join("\n"), @"
        invalid margin_alert event: payload.user_id is required
        invalid margin_alert event: payload.user_id must be a UUID
        invalid margin_alert event: payload.health_score is required
        invalid margin_alert event: payload.health_score must be a number
        ");
    }
}
