//! Something costs more, or less, than usual. Severity: critical from twice the average on, else
//! warning.

use serde_json::json;

use super::Names;
use super::draft::object;
use super::operator::{OperatorContext, OperatorEvent};
use super::operator_message::OperatorMessage;
use super::payload::payload;
use super::sample::{self, Column, HARBOR};
use crate::domain::announcement::Severity;
use crate::domain::event::EventRow;
use crate::domain::payload::Scalar;
use crate::domain::quantity::Amount;

/// From so many percent above the average on, it is critical.
const CRITICAL_FROM: f64 = 100.0;

payload! {
    pub(super) struct CostAnomalyDetected {
        context: OperatorContext,
        current_cost: Amount,
        average_cost: Amount,
        threshold: Option<Scalar>,
    }
}

impl CostAnomalyDetected {
    /// How far off the average it is, where the two can be compared.
    fn percent(&self) -> Option<f64> {
        let [current, average] = [&self.current_cost, &self.average_cost];
        let [now, usual] = [current, average].map(|amount| amount.quantity.value());
        let is_comparable = usual > 0.0 && current.currency == average.currency;
        is_comparable.then(|| (now - usual) * 100.0 / usual)
    }
}

impl OperatorEvent for CostAnomalyDetected {
    const DOTTED: &'static str = "cost.anomaly_detected";

    fn sample() -> EventRow {
        sample::event(
            [Column::Org(HARBOR)],
            json!({
                "current_cost": 182.4,
                "average_cost": 96,
                "threshold": "150%",
                "currency": "EUR",
            }),
        )
    }

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
        OperatorMessage::new(names, severity, data, |style| {
            let [current, average] = [&self.current_cost, &self.average_cost]
                .map(|amount| style.name(amount.to_string()));
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

    use super::super::EventType::CostAnomalyDetected as IT;
    use super::super::fixture::{planned_with, title_with};

    #[test]
    fn message() {
        insta::assert_snapshot!(planned_with(IT, json!({})), @r#"
        warning: Costs are at EUR 182.40, 90% above the average of EUR 96
          Threshold: 150%
          Organisation: Harbor Homes
          {average_cost: 96, currency: "EUR", current_cost: 182.4, org_id: "HARBOR", org_name: "Harbor Homes", project_id: null, project_name: null, threshold: "150%", user_id: null}
        to endpoints, org HARBOR
        to OrgOwners { org_id: HARBOR, except: None }, in app, e-mail Immediate
        "#);
    }

    #[test]
    fn the_distance_from_the_average_decides_the_severity() {
        let costs = [
            (json!(200), json!(100)),
            (json!(40), json!(100)),
            (json!(10), json!(0)),
            (json!("EUR 10"), json!("USD 5")),
        ];
        let titles = costs.map(|(current, average)| {
            title_with(
                IT,
                json!({"current_cost": current, "average_cost": average}),
            )
        });
        insta::assert_snapshot!(titles.join("\n"), @"
        critical: Costs are at EUR 200, 100% above the average of EUR 100
        warning: Costs are at EUR 40, 60% below the average of EUR 100
        critical: Costs are at EUR 10; on average they are EUR 0
        critical: Costs are at EUR 10; on average they are USD 5
        ");
    }
}
