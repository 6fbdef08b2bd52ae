//! The margin of somebody's account is at risk: he hears of it, and the owners of his organisation.
//!
//! Optional keys: `severity` (else a warning), `message`, `alert_id`, with which nobody is told more
//! than once a day, `user_name`, and those of an [`Operation`]. The same message of the same severity
//! about the same person is not told again within a day.

use serde_json::Value;

use super::notice::object;
use super::operation::{Operation, OperatorEvent};
use super::telling::Telling;
use super::{Names, alert};
use crate::domain::announcement::Severity;
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::quantity::Quantity;

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct MarginAlert {
    operation: Operation,
    health_score: Quantity,
    severity: Severity,
    message: Option<String>,
    alert_id: Option<String>,
}

impl MarginAlert {
    pub(super) fn parse(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
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
        let guards = day.into_iter().chain(content).collect();
        Ok(Self {
            operation: Operation::about_person(fields)?.guarded(guards),
            health_score,
            severity,
            message: message.map(str::to_owned),
            alert_id,
        })
    }
}

impl OperatorEvent for MarginAlert {
    fn operation(&self) -> &Operation {
        &self.operation
    }

    fn telling(&self, _names: &Names) -> Telling {
        let data = object! {
            "alert_id": self.alert_id,
            "user_id": self.operation.user_id(),
            "health_score": self.health_score.number(),
            "message": self.message,
        };
        Telling::new(self.severity, data, |style| {
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
    use super::super::testing::{BO, HOSTILE, told, told_without_columns};

    const IT: EventType = EventType::MarginAlert;

    #[test]
    fn the_person_and_the_owners_hear_of_it() {
        insta::assert_snapshot!(told(IT, json!({
            "user_id": BO,
            "health_score": "1.08",
            "severity": "CRITICAL",
            "message": format!("Add funds.\n\n{HOSTILE}"),
            "alert_id": 7,
        })), @"");
    }

    #[test]
    fn without_words() {
        insta::assert_snapshot!(told_without_columns(IT, json!({"user_id": BO, "health_score": 40, "severity": 3})), @"");
    }

    #[test]
    fn required_keys() {
        let errors = [
            json!({"health_score": 1}),
            json!({"user_id": "bo", "health_score": 1}),
            json!({"user_id": BO}),
            json!({"user_id": BO, "health_score": "low"}),
        ];
        insta::assert_snapshot!(errors.map(|payload| told(IT, payload)).join("\n"), @"");
    }
}
