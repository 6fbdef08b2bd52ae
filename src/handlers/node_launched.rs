//! A node was launched.
//!
//! Optional keys: `provider`, `region`, `gpu`, `model`, `duration` (texts or numbers), `spot`,
//! `price` and its `currency`, and those of an [`OperatorContext`].

use serde_json::Value;

use super::Names;
use super::draft::object;
use super::operator::{OperatorContext, OperatorEvent};
use super::operator_message::OperatorMessage;
use crate::domain::announcement::Severity;
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::quantity::Amount;

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct NodeLaunched {
    context: OperatorContext,
    node_id: String,
    provider: Option<Value>,
    region: Option<Value>,
    gpu: Option<Value>,
    model: Option<Value>,
    duration: Option<Value>,
    spot: Option<bool>,
    price: Option<Amount>,
}

impl NodeLaunched {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        let scalar = |key| fields.scalar(key);
        Ok(Self {
            context: OperatorContext::act(fields),
            node_id: fields.required_id("node_id")?,
            provider: scalar("provider"),
            region: scalar("region"),
            gpu: scalar("gpu"),
            model: scalar("model"),
            duration: scalar("duration"),
            spot: fields.value("spot").and_then(Value::as_bool),
            price: fields.amount("price"),
        })
    }
}

impl OperatorEvent for NodeLaunched {
    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn message(&self, names: &Names) -> OperatorMessage {
        let price = self.price.as_ref();
        let data = object! {
            "node_id": self.node_id,
            "provider": self.provider,
            "region": self.region,
            "gpu": self.gpu,
            "model": self.model,
            "duration": self.duration,
            "spot": self.spot,
            "price": price.map(|price| price.quantity.number()),
            "currency": price.map(|price| &price.currency),
        };
        let spot = self.spot.map(|spot| if spot { "yes" } else { "no" });
        OperatorMessage::new(names.body_format(), Severity::Info, data, |style| {
            format!("Node {} was launched", style.name(&self.node_id))
        })
        .with_scalar("Provider", self.provider.as_ref())
        .with_scalar("Region", self.region.as_ref())
        .with_scalar("GPU", self.gpu.as_ref())
        .with_scalar("Model", self.model.as_ref())
        .with_scalar("Duration", self.duration.as_ref())
        .with("Spot", spot)
        .with("Price", price.map(ToString::to_string).as_deref())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{HOSTILE, planned, planned_without_columns};

    const IT: EventType = EventType::NodeLaunched;

    #[test]
    fn with_its_particulars() {
        insta::assert_snapshot!(planned(IT, json!({
            "node_id": "node-7",
            "provider": "runpod",
            "region": "eu-west",
            "gpu": "A100",
            "model": "llama-70b",
            "duration": 3600,
            "spot": true,
            "price": "1.20",
        })), @r#"
        to OrgOwners { org_id: ACME, except: None } but ADA, project ATLAS
          app each: Node node-7 was launched
            Node **node-7** was launched.

        Provider: runpod
        Region: eu-west
        GPU: A100
        Model: llama-70b
        Duration: 3600
        Spot: yes
        Price: USD 1.20
        Organisation: Acme
        Project: Atlas
            /project/workspace/ATLAS
            {currency: "USD", duration: 3600, gpu: "A100", model: "llama-70b", node_id: "node-7", org_id: "ACME", org_name: "Acme", price: 1.2, project_id: "ATLAS", project_name: "Atlas", provider: "runpod", region: "eu-west", severity: "info", spot: true, type: "node_launched"}
          mail Immediate: Node node-7 was launched (ATLAS Atlas)
            {fields: [{"name":"Provider","value":"runpod"},{"name":"Region","value":"eu-west"},{"name":"GPU","value":"A100"},{"name":"Model","value":"llama-70b"…, link_url: "/project/workspace/ATLAS", text: null}
            without currency
            without duration
            without gpu
            without model
            without node_id
            without price
            without provider
            without region
            without spot
        to endpoints, info, org ACME, project ATLAS: Node node-7 was launched
            Provider: runpod
            Region: eu-west
            GPU: A100
            Model: llama-70b
            Duration: 3600
            Spot: yes
            Price: USD 1.20
            Organisation: Acme
            Project: Atlas
            /project/workspace/ATLAS
            {currency: "USD", duration: 3600, gpu: "A100", model: "llama-70b", node_id: "node-7", org_id: "ACME", org_name: "Acme", price: 1.2, project_id: "ATLAS", project_name: "Atlas", provider: "runpod", region: "eu-west", spot: true, user_id: null}
        "#);
    }

    #[test]
    fn nothing_else_is_needed() {
        insta::assert_snapshot!(planned_without_columns(IT, json!({
            "node_id": HOSTILE,
            "provider": [],
            "spot": "maybe",
            "price": "dear",
        })), @r#"
        to endpoints, info: Node [Win](https://evil.example) <img src=x> @all **now** `` # ! was launched
            /dashboard
            {currency: null, duration: null, gpu: null, model: null, node_id: "HOSTILE", org_id: null, org_name: null, price: null, project_id: null, project_name: null, provider: null, region: null, spot: null, user_id: null}
        "#);
    }

    #[test]
    fn required_keys() {
        let errors = [planned(IT, json!({})), planned(IT, json!({"node_id": {}}))];
        insta::assert_snapshot!(errors.join("\n"), @"
        invalid node_launched event: payload.node_id is required
        invalid node_launched event: payload.node_id must be a short text or a whole number
        ");
    }
}
