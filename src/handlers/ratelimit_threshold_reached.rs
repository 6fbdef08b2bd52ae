//! A rate limit is about to be reached, or is. Severity: critical from the limit on, else warning.

use super::prelude::*;
use super::sample::HARBOR;

payload! {
    pub(super) struct RatelimitThresholdReached {
        context: OperatorContext,
        usage: Quantity,
        limit: Quantity,
        threshold_percent: Option<Quantity>,
    }
}

impl OperatorEvent for RatelimitThresholdReached {
    const DOTTED: &'static str = "ratelimit.threshold_reached";

    fn sample() -> EventRow {
        let payload = json!({"usage": 9120, "limit": 10000, "threshold_percent": 90});
        sample::event([HARBOR], payload)
    }

    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn message(&self, names: &Names) -> OperatorMessage {
        let (usage, limit) = (self.usage.value(), self.limit.value());
        let threshold = self.threshold_percent.as_ref();
        let data = object! {
            "usage": self.usage.number(),
            "limit": self.limit.number(),
            "threshold_percent": threshold.map(Quantity::number),
        };
        let severity = if usage < limit {
            Severity::Warning
        } else {
            Severity::Critical
        };
        OperatorMessage::new(names, severity, data, |style| {
            let [used, most] = [&self.usage, &self.limit].map(|it| style.name(it.to_string()));
            // Rounded down: only a limit that is reached is called so.
            let percent = (limit > 0.0).then(|| (usage * 100.0 / limit).floor());
            let percent = percent.map_or_else(String::new, |percent| format!(" ({percent}%)"));
            format!("The rate limit is used up to {used} of {most}{percent}")
        })
        .with("Threshold", threshold.map(|percent| format!("{percent}%")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventType::RatelimitThresholdReached as IT;
    use super::super::fixture::titles;
    use super::json;

    #[test]
    fn a_limit_that_is_reached_is_critical() {
        let uses = [(999, 1000), (1000, 1000), (5, 0)];
        let uses = uses.map(|(usage, limit)| json!({"usage": usage, "limit": limit}));
        insta::assert_snapshot!(titles(IT, uses), @"
        warning: The rate limit is used up to 999 of 1000 (99%)
        critical: The rate limit is used up to 1000 of 1000 (100%)
        critical: The rate limit is used up to 5 of 0
        ");
    }
}
