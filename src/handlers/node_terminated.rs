//! A node was terminated. Severity: warning.

use serde_json::json;

use super::Names;
use super::draft::object;
use super::operator::{OperatorContext, OperatorEvent};
use super::operator_message::OperatorMessage;
use super::payload::payload;
use super::sample::{self, Column, HARBOR, QUAYSIDE};
use crate::domain::announcement::Severity;
use crate::domain::event::EventRow;
use crate::domain::payload::{Id, Scalar};

payload! {
    pub(super) struct NodeTerminated {
        context: OperatorContext,
        node_id: Id,
        time_remaining: Option<Scalar>,
        reason: Option<String>,
    }
}

impl OperatorEvent for NodeTerminated {
    const DOTTED: &'static str = "node.terminated";
    const EXCLUDES_ACTOR: bool = true;

    fn sample() -> EventRow {
        sample::event(
            [Column::Project(QUAYSIDE), Column::Org(HARBOR)],
            json!({
                "node_id": "node-17",
                "time_remaining": "52m",
                "reason": "Spot capacity was reclaimed",
            }),
        )
    }

    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn message(&self, names: &Names) -> OperatorMessage {
        let data = object! {
            "node_id": self.node_id,
            "time_remaining": self.time_remaining,
            "reason": self.reason,
        };
        OperatorMessage::new(names, Severity::Warning, data, |style| {
            format!("Node {} was terminated", style.name(&self.node_id.0))
        })
        .with("Reason", self.reason.as_ref())
        .with_scalar("Time remaining", self.time_remaining.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType::NodeTerminated as IT;
    use super::super::fixture::planned_with;

    #[test]
    fn message() {
        insta::assert_snapshot!(planned_with(IT, json!({})), @r#"
        warning: Node node-17 was terminated
          Reason: Spot capacity was reclaimed
          Time remaining: 52m
          Organisation: Harbor Homes
          Project: Quayside Lofts
          {node_id: "node-17", org_id: "HARBOR", org_name: "Harbor Homes", project_id: "QUAYSIDE", project_name: "Quayside Lofts", reason: "Spot capacity was reclaimed", time_remaining: "52m", user_id: null}
        to endpoints, org HARBOR, project QUAYSIDE
        to OrgOwners { org_id: HARBOR, except: None }, project QUAYSIDE, in app, e-mail Immediate
        "#);
    }
}
