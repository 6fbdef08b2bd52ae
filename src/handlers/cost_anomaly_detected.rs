//! Something costs more, or less, than usual.
//!
//! Optional keys: `threshold` (a text or a number), `currency` (else US dollars, unless the costs
//! name it), and those of an [`OperatorContext`].

use serde_json::Value;

use super::Names;
use super::draft::object;
use super::operator::{OperatorContext, OperatorEvent};
use super::operator_message::OperatorMessage;
use crate::domain::announcement::Severity;
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::quantity::Amount;

/// From so many percent above the average on, it is critical.
const CRITICAL_FROM: f64 = 100.0;

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct CostAnomalyDetected {
    context: OperatorContext,
    current_cost: Amount,
    average_cost: Amount,
    threshold: Option<Value>,
}

impl CostAnomalyDetected {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        Ok(Self {
            context: OperatorContext::decode(fields),
            current_cost: fields.required_amount("current_cost")?,
            average_cost: fields.required_amount("average_cost")?,
            threshold: fields.scalar("threshold"),
        })
    }

    /// How far off the average it is, where that can be said.
    fn percent(&self) -> Option<f64> {
        let [current, average] = [&self.current_cost, &self.average_cost];
        let [now, usual] = [current, average].map(|amount| amount.quantity.value());
        let is_comparable = usual > 0.0 && current.currency == average.currency;
        is_comparable.then(|| (now - usual) * 100.0 / usual)
    }
}

impl OperatorEvent for CostAnomalyDetected {
    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn message(&self, names: &Names) -> OperatorMessage {
        let data = object! {
            "current_cost": self.current_cost.quantity.number(),
            "average_cost": self.average_cost.quantity.number(),
            "threshold": self.threshold,
            "currency": self.current_cost.currency,
        };
        let severity = match self.percent() {
            Some(percent) if percent < CRITICAL_FROM => Severity::Warning,
            _ => Severity::Critical,
        };
        OperatorMessage::new(names.body_format(), severity, data, |style| {
            let current = style.name(&self.current_cost.to_string());
            let average = style.name(&self.average_cost.to_string());
            match self.percent() {
                Some(percent) => {
                    let side = if percent < 0.0 { "below" } else { "above" };
                    let off = percent.abs().round();
                    format!("Costs are at {current}, {off}% {side} the average of {average}")
                }
                None => format!("Costs are at {current}; on average they are {average}"),
            }
        })
        .with_scalar("Threshold", self.threshold.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{planned, planned_without_columns};

    const IT: EventType = EventType::CostAnomalyDetected;

    #[test]
    fn above_the_average() {
        insta::assert_snapshot!(planned(IT, json!({
            "current_cost": 180.5,
            "average_cost": "100.00",
            "threshold": 1.5,
            "currency": "EUR",
        })), @r#"
        to OrgOwners { org_id: ACME, except: None }, project ATLAS
          app each: Costs are at EUR 180.50, 81% above the average of EUR 100.00
            Costs are at **EUR 180.50**, 81% above the average of **EUR 100.00**.

        Threshold: 1.5
        Organisation: Acme
        Project: Atlas
            /project/workspace/ATLAS
            {average_cost: 100.0, currency: "EUR", current_cost: 180.5, org_id: "ACME", org_name: "Acme", project_id: "ATLAS", project_name: "Atlas", severity: "warning", threshold: 1.5, type: "cost_anomaly_detected"}
          mail Immediate: Costs are at EUR 180.50, 81% above the average of EUR 100.00 (ATLAS Atlas)
            {fields: [{"name":"Threshold","value":"1.5"},{"name":"Organisation","value":"Acme"},{"name":"Project","value":"Atlas"}], link_url: "/project/workspace/ATLAS", text: null}
            without average_cost
            without currency
            without current_cost
            without threshold
        to endpoints, warning, org ACME, project ATLAS: Costs are at EUR 180.50, 81% above the average of EUR 100.00
            Threshold: 1.5
            Organisation: Acme
            Project: Atlas
            /project/workspace/ATLAS
            {average_cost: 100.0, currency: "EUR", current_cost: 180.5, org_id: "ACME", org_name: "Acme", project_id: "ATLAS", project_name: "Atlas", threshold: 1.5, user_id: null}
        "#);
    }

    #[test]
    fn how_far_off_tells_how_bad_it_is() {
        let title = |(current, average)| {
            let costs = json!({"current_cost": current, "average_cost": average});
            let told = planned_without_columns(IT, costs);
            told.lines().next().unwrap_or_default().to_owned()
        };
        let costs = [
            (json!(200), json!(100)),
            (json!(40), json!(100)),
            (json!(10), json!(0)),
            (json!("EUR 10"), json!("USD 5")),
        ];
        insta::assert_snapshot!(costs.map(title).join("\n"), @"
        to endpoints, critical: Costs are at USD 200, 100% above the average of USD 100
        to endpoints, warning: Costs are at USD 40, 60% below the average of USD 100
        to endpoints, critical: Costs are at USD 10; on average they are USD 0
        to endpoints, critical: Costs are at EUR 10; on average they are USD 5
        ");
    }

    #[test]
    fn required_keys() {
        let errors = [
            json!({"average_cost": 1}),
            json!({"current_cost": 1}),
            json!({"current_cost": [], "average_cost": 1}),
            json!({"current_cost": 1, "average_cost": "much"}),
        ];
        insta::assert_snapshot!(errors.map(|payload| planned(IT, payload)).join("\n"), @"
        invalid cost_anomaly_detected event: payload.current_cost is required
        invalid cost_anomaly_detected event: payload.average_cost is required
        invalid cost_anomaly_detected event: payload.current_cost must be an amount
        invalid cost_anomaly_detected event: payload.average_cost must be an amount
        ");
    }
}
