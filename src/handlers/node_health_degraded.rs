//! A node's health went down. Severity: critical below 50 of 100 (a score below 1 is of 1), else
//! warning.

use super::prelude::*;
use super::sample::HARBOR;
use crate::domain::text;

/// Below this many of a hundred, it is critical.
const CRITICAL_BELOW: f64 = 50.0;
/// The first of a longer list are kept.
const ISSUES_MAX: usize = 50;

payload! {
    pub(super) struct NodeHealthDegraded {
        context: OperatorContext,
        node_id: Id,
        health_score: Quantity,
        issues: Option<Issues>,
    }
}

/// A list of texts, or a text.
#[derive(Debug)]
pub(super) struct Issues(Vec<String>);

impl FromPayload for Issues {
    const TYPE: &'static str = "a list of texts";

    fn read(value: &Value, _: Fields<'_>) -> Option<Self> {
        let issues = match value {
            Value::Array(issues) => issues,
            other => std::slice::from_ref(other),
        };
        let issues = issues.iter().filter_map(Value::as_str).take(ISSUES_MAX);
        let issues = issues.map(|issue| text::clip(issue, text::PREVIEW_MAX));
        Some(Self(issues.collect()))
    }
}

impl NodeHealthDegraded {
    /// A score is out of a hundred; what is below one can only be out of one.
    fn severity(&self) -> Severity {
        let score = self.health_score.value();
        let score = if score < 1.0 { score * 100.0 } else { score };
        if score < CRITICAL_BELOW {
            Severity::Critical
        } else {
            Severity::Warning
        }
    }
}

impl OperatorEvent for NodeHealthDegraded {
    const DOTTED: &'static str = "node.health_degraded";

    fn sample() -> EventRow {
        let payload = json!({
            "node_id": "node-18",
            "health_score": 42,
            "issues": ["GPU temperature is 91 °C", "Disk is 97% full"],
        });
        sample::event([HARBOR], payload)
    }

    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn message(&self, names: &Names) -> OperatorMessage {
        let issues = self.issues.as_ref();
        let issues = issues.map_or(&[][..], |Issues(issues)| issues);
        let data = object! {
            "node_id": self.node_id,
            "health_score": self.health_score.number(),
            "issues": issues,
        };
        OperatorMessage::new(names, self.severity(), data, |style| {
            let score = style.name(self.health_score.to_string());
            let node = style.name(&self.node_id.0);
            format!("The health of node {node} is down to {score}")
        })
        .with("Issues", Some(issues.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventType::NodeHealthDegraded as IT;
    use super::super::fixture::{planned_with, titles};
    use super::json;

    #[test]
    fn the_score_decides_the_severity() {
        let scores = [json!(50), json!("49.9"), json!(0.8), json!(0.2), json!(0)];
        let scores = scores.map(|score| json!({"health_score": score}));
        insta::assert_snapshot!(titles(IT, scores), @"
        warning: The health of node node-18 is down to 50
        critical: The health of node node-18 is down to 49.9
        warning: The health of node node-18 is down to 0.8
        critical: The health of node node-18 is down to 0.2
        critical: The health of node node-18 is down to 0
        ");
    }

    #[test]
    fn issues_may_be_a_text_or_mixed() {
        for (issues, expected) in [
            (json!("slow"), "Issues: slow\n"),
            (json!(["slow", 7, "hot"]), "Issues: slow, hot\n"),
        ] {
            let planned = planned_with(IT, json!({"issues": issues}));
            assert!(planned.contains(expected), "{planned}");
        }
    }
}
