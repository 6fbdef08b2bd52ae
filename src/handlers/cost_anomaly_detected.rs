//! Something costs more, or less, than usual. Severity: critical from twice the average on, else
//! warning.

use super::prelude::*;
use super::sample::HARBOR;

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
        let payload = json!({
            "current_cost": 182.4,
            "average_cost": 96,
            "threshold": "150%",
            "currency": "EUR",
        });
        sample::event([HARBOR], payload)
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
        .with("Threshold", self.threshold.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventType::CostAnomalyDetected as IT;
    use super::super::fixture::titles;
    use super::json;

    #[test]
    fn the_distance_from_the_average_decides_the_severity() {
        let costs = [
            json!({"current_cost": 200, "average_cost": 100}),
            json!({"current_cost": 40, "average_cost": 100}),
            json!({"current_cost": 10, "average_cost": 0}),
            json!({"current_cost": "EUR 10", "average_cost": "USD 5"}),
        ];
        insta::assert_snapshot!(titles(IT, costs), @"
        critical: Costs are at EUR 200, 100% above the average of EUR 100
        warning: Costs are at EUR 40, 60% below the average of EUR 100
        critical: Costs are at EUR 10; on average they are EUR 0
        critical: Costs are at EUR 10; on average they are USD 5
        ");
    }
}
