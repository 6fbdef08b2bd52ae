//! A node was terminated.
//!
//! Optional keys: `time_remaining` (a text or a number), `reason`, and those of an [`OperatorContext`].

use serde_json::Value;

use super::Names;
use super::draft::object;
use super::operator::{OperatorContext, OperatorEvent};
use super::operator_message::OperatorMessage;
use crate::domain::announcement::Severity;
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct NodeTerminated {
    context: OperatorContext,
    node_id: String,
    time_remaining: Option<Value>,
    reason: Option<String>,
}

impl NodeTerminated {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        Ok(Self {
            context: OperatorContext::act(fields),
            node_id: fields.required_id("node_id")?,
            time_remaining: fields.scalar("time_remaining"),
            reason: fields.text("reason").map(str::to_owned),
        })
    }
}

impl OperatorEvent for NodeTerminated {
    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn message(&self, names: &Names) -> OperatorMessage {
        let data = object! {
            "node_id": self.node_id,
            "time_remaining": self.time_remaining,
            "reason": self.reason,
        };
        OperatorMessage::new(names.body_format(), Severity::Warning, data, |style| {
            format!("Node {} was terminated", style.name(&self.node_id))
        })
        .with("Reason", self.reason.as_deref())
        .with_scalar("Time remaining", self.time_remaining.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{planned, planned_without_columns};

    const IT: EventType = EventType::NodeTerminated;

    #[test]
    fn with_its_reason() {
        insta::assert_snapshot!(planned(IT, json!({
            "node_id": 7,
            "time_remaining": "12m",
            "reason": "spot capacity was *reclaimed*",
        })), @r#"
        to OrgOwners { org_id: ACME, except: None } but ADA, project ATLAS
          app each: Node 7 was terminated
            Node **7** was terminated.

        Reason: spot capacity was *reclaimed*
        Time remaining: 12m
        Organisation: Acme
        Project: Atlas
            /project/workspace/ATLAS
            {node_id: "7", org_id: "ACME", org_name: "Acme", project_id: "ATLAS", project_name: "Atlas", reason: "spot capacity was *reclaimed*", severity: "warning", time_remaining: "12m", type: "node_terminated"}
          mail Immediate: Node 7 was terminated (ATLAS Atlas)
            {fields: [{"name":"Reason","value":"spot capacity was *reclaimed*"},{"name":"Time remaining","value":"12m"},{"name":"Organisation","value":"Acme"},{…, link_url: "/project/workspace/ATLAS", text: null}
            without node_id
            without reason
            without time_remaining
        to endpoints, warning, org ACME, project ATLAS: Node 7 was terminated
            Reason: spot capacity was *reclaimed*
            Time remaining: 12m
            Organisation: Acme
            Project: Atlas
            /project/workspace/ATLAS
            {node_id: "7", org_id: "ACME", org_name: "Acme", project_id: "ATLAS", project_name: "Atlas", reason: "spot capacity was *reclaimed*", time_remaining: "12m", user_id: null}
        "#);
    }

    #[test]
    fn nothing_else_is_needed() {
        insta::assert_snapshot!(planned_without_columns(IT, json!({"node_id": "n", "time_remaining": {}})), @r#"
        to endpoints, warning: Node n was terminated
            /dashboard
            {node_id: "n", org_id: null, org_name: null, project_id: null, project_name: null, reason: null, time_remaining: null, user_id: null}
        "#);
    }

    #[test]
    fn required_keys() {
        let errors = [
            planned(IT, json!({})),
            planned(IT, json!({"node_id": true})),
        ];
        insta::assert_snapshot!(errors.join("\n"), @"
        invalid node_terminated event: payload.node_id is required
        invalid node_terminated event: payload.node_id must be a short text or a whole number
        ");
    }
}
