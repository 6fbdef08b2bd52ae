//! A node's health went down.
//!
//! Optional keys: `issues` (a list of texts, or a text), and those of an [`OperatorContext`].

use serde_json::Value;

use super::Names;
use super::draft::object;
use super::operator::{OperatorContext, OperatorEvent};
use super::operator_message::OperatorMessage;
use crate::domain::announcement::Severity;
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::quantity::Quantity;
use crate::domain::text;

/// Below this many of a hundred, it is critical.
const CRITICAL_BELOW: f64 = 50.0;
/// More of a list are not told.
const ISSUES_MAX: usize = 50;

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct NodeHealthDegraded {
    context: OperatorContext,
    node_id: String,
    health_score: Quantity,
    issues: Vec<String>,
}

impl NodeHealthDegraded {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        let issues = match fields.value("issues") {
            Some(Value::Array(issues)) => issues
                .iter()
                .filter_map(Value::as_str)
                .take(ISSUES_MAX)
                .collect(),
            Some(Value::String(issue)) => vec![issue.as_str()],
            _ => Vec::new(),
        };
        Ok(Self {
            context: OperatorContext::decode(fields),
            node_id: fields.required_id("node_id")?,
            health_score: fields.required_quantity("health_score")?,
            issues: issues
                .into_iter()
                .map(|issue| text::clip(issue, text::PREVIEW_MAX))
                .collect(),
        })
    }

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
    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn message(&self, names: &Names) -> OperatorMessage {
        let data = object! {
            "node_id": self.node_id,
            "health_score": self.health_score.number(),
            "issues": self.issues,
        };
        OperatorMessage::new(names.body_format(), self.severity(), data, |style| {
            let score = style.name(&self.health_score.to_string());
            format!(
                "The health of node {} is down to {score}",
                style.name(&self.node_id)
            )
        })
        .with("Issues", Some(&self.issues.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{HOSTILE, planned, planned_without_columns};

    const IT: EventType = EventType::NodeHealthDegraded;

    #[test]
    fn with_its_issues() {
        insta::assert_snapshot!(planned(IT, json!({
            "node_id": "node-7",
            "health_score": 72.5,
            "issues": ["disk is 91% full", 7, HOSTILE],
        })), @r#"
        to OrgOwners { org_id: ACME, except: None }, project ATLAS
          app each: The health of node node-7 is down to 72.5
            The health of node **node-7** is down to **72.5**.

        Issues: disk is 91% full, [Win](https://evil.example) <img src=x> @all now `` # !
        Organisation: Acme
        Project: Atlas
            /project/workspace/ATLAS
            {health_score: 72.5, issues: ["disk is 91% full","HOSTILE"], node_id: "node-7", org_id: "ACME", org_name: "Acme", project_id: "ATLAS", project_name: "Atlas", severity: "warning", type: "node_health_degraded"}
          mail Immediate: The health of node node-7 is down to 72.5 (ATLAS Atlas)
            {fields: [{"name":"Issues","value":"disk is 91% full, [Win](https://evil.example) <img src=x> @all **now** `` # !"},{"name":"Organisation","value":"…, link_url: "/project/workspace/ATLAS", text: null}
            without health_score
            without issues
            without node_id
        to endpoints, warning, org ACME, project ATLAS: The health of node node-7 is down to 72.5
            Issues: disk is 91% full, [Win](https://evil.example) <img src=x> @all **now** `` # !
            Organisation: Acme
            Project: Atlas
            /project/workspace/ATLAS
            {health_score: 72.5, issues: ["disk is 91% full","HOSTILE"], node_id: "node-7", org_id: "ACME", org_name: "Acme", project_id: "ATLAS", project_name: "Atlas", user_id: null}
        "#);
    }

    #[test]
    fn the_score_tells_how_bad_it_is() {
        let severity = |score| {
            let told = planned_without_columns(
                IT,
                json!({"node_id": 1, "health_score": score, "issues": "slow"}),
            );
            told.lines().next().unwrap_or_default().to_owned()
        };
        let scores = [json!(50), json!("49.9"), json!(0.8), json!(0.2), json!(0)];
        insta::assert_snapshot!(scores.map(severity).join("\n"), @"
        to endpoints, warning: The health of node 1 is down to 50
        to endpoints, critical: The health of node 1 is down to 49.9
        to endpoints, warning: The health of node 1 is down to 0.8
        to endpoints, critical: The health of node 1 is down to 0.2
        to endpoints, critical: The health of node 1 is down to 0
        ");
    }

    #[test]
    fn required_keys() {
        let errors = [
            json!({"health_score": 1}),
            json!({"node_id": "n"}),
            json!({"node_id": "n", "health_score": "bad"}),
        ];
        insta::assert_snapshot!(errors.map(|payload| planned(IT, payload)).join("\n"), @"
        invalid node_health_degraded event: payload.node_id is required
        invalid node_health_degraded event: payload.health_score is required
        invalid node_health_degraded event: payload.health_score must be a number
        ");
    }
}
