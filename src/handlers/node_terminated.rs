//! A node was terminated. Severity: warning.

use super::prelude::*;
use super::sample::{HARBOR, QUAYSIDE};

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
        let payload = json!({
            "node_id": "node-17",
            "time_remaining": "52m",
            "reason": "Spot capacity was reclaimed",
        });
        sample::event([QUAYSIDE, HARBOR], payload)
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
        .with("Time remaining", self.time_remaining.as_ref())
    }
}
