//! Something costs more, or less, than usual.
//!
//! Optional keys: `threshold` (a text or a number), `currency` (else US dollars, unless the costs
//! name it), and those of an [`Operation`].

use serde_json::Value;

use super::Names;
use super::notice::object;
use super::operation::{Operation, OperatorEvent};
use super::telling::Telling;
use crate::domain::announcement::Severity;
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::quantity::Amount;

/// From so many percent above the average on, it is critical.
const CRITICAL_FROM: f64 = 100.0;

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct CostAnomalyDetected {
    operation: Operation,
    current_cost: Amount,
    average_cost: Amount,
    threshold: Option<Value>,
}

impl CostAnomalyDetected {
    pub(super) fn parse(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        Ok(Self {
            operation: Operation::parse(fields),
            current_cost: fields.required_amount("current_cost")?,
            average_cost: fields.required_amount("average_cost")?,
            threshold: fields.scalar("threshold").cloned(),
        })
    }

    /// How far off the average it is, where that can be said.
    fn percent(&self) -> Option<f64> {
        let [current, average] = [&self.current_cost, &self.average_cost];
        let is_comparable = average.quantity.value() > 0.0 && current.currency == average.currency;
        is_comparable.then(|| (current.quantity.value() / average.quantity.value() - 1.0) * 100.0)
    }
}

impl OperatorEvent for CostAnomalyDetected {
    fn operation(&self) -> &Operation {
        &self.operation
    }

    fn telling(&self, _names: &Names) -> Telling {
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
        Telling::new(severity, data, |style| {
            let current = style.name(&self.current_cost.to_string());
            let average = style.name(&self.average_cost.to_string());
            match self.percent() {
                Some(percent) => {
                    let side = if percent < 0.0 { "below" } else { "above" };
                    let off = percent.abs().floor();
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
    use super::super::testing::{told, told_without_columns};

    const IT: EventType = EventType::CostAnomalyDetected;

    #[test]
    fn above_the_average() {
        insta::assert_snapshot!(told(IT, json!({
            "current_cost": 180.5,
            "average_cost": "100.00",
            "threshold": 1.5,
            "currency": "EUR",
        })), @"");
    }

    #[test]
    fn how_far_off_tells_how_bad_it_is() {
        let title = |(current, average)| {
            let costs = json!({"current_cost": current, "average_cost": average});
            let told = told_without_columns(IT, costs);
            told.lines().next().unwrap_or_default().to_owned()
        };
        let costs = [
            (json!(200), json!(100)),
            (json!(40), json!(100)),
            (json!(10), json!(0)),
            (json!("EUR 10"), json!("USD 5")),
        ];
        insta::assert_snapshot!(costs.map(title).join("\n"), @"");
    }

    #[test]
    fn required_keys() {
        let errors = [
            json!({"average_cost": 1}),
            json!({"current_cost": 1}),
            json!({"current_cost": [], "average_cost": 1}),
            json!({"current_cost": 1, "average_cost": "much"}),
        ];
        insta::assert_snapshot!(errors.map(|payload| told(IT, payload)).join("\n"), @"");
    }
}
