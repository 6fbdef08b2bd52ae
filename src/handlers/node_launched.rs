//! A node was launched. Severity: info.

use serde_json::json;

use super::Names;
use super::draft::object;
use super::operator::{OperatorContext, OperatorEvent};
use super::operator_message::OperatorMessage;
use super::payload::payload;
use super::sample::{self, ADA, Column, HARBOR, QUAYSIDE};
use crate::domain::announcement::Severity;
use crate::domain::event::EventRow;
use crate::domain::payload::{Id, Scalar};
use crate::domain::quantity::Amount;

payload! {
    pub(super) struct NodeLaunched {
        context: OperatorContext,
        node_id: Id,
        provider: Option<Scalar>,
        region: Option<Scalar>,
        gpu: Option<Scalar>,
        model: Option<Scalar>,
        duration: Option<Scalar>,
        spot: Option<bool>,
        price: Option<Amount>,
    }
}

impl OperatorEvent for NodeLaunched {
    const DOTTED: &'static str = "node.launched";
    const EXCLUDES_ACTOR: bool = true;

    fn sample() -> EventRow {
        // Of the owners Ada, who launched it, is not notified.
        sample::event(
            [
                Column::Actor(ADA),
                Column::Project(QUAYSIDE),
                Column::Org(HARBOR),
            ],
            json!({
                "node_id": "node-17",
                "provider": "runpod",
                "region": "eu-west-1",
                "gpu": "A100",
                "model": "llama-70b",
                "duration": "4h",
                "spot": true,
                "price": "1.20",
            }),
        )
    }

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
        OperatorMessage::new(names, Severity::Info, data, |style| {
            format!("Node {} was launched", style.name(&self.node_id.0))
        })
        .with_scalar("Provider", self.provider.as_ref())
        .with_scalar("Region", self.region.as_ref())
        .with_scalar("GPU", self.gpu.as_ref())
        .with_scalar("Model", self.model.as_ref())
        .with_scalar("Duration", self.duration.as_ref())
        .with("Spot", spot)
        .with("Price", price.map(ToString::to_string))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType::NodeLaunched as IT;
    use super::super::fixture::{mail, planned_with};

    #[test]
    fn message() {
        insta::assert_snapshot!(planned_with(IT, json!({})), @r#"
        info: Node node-17 was launched
          Provider: runpod
          Region: eu-west-1
          GPU: A100
          Model: llama-70b
          Duration: 4h
          Spot: yes
          Price: USD 1.20
          Organisation: Harbor Homes
          Project: Quayside Lofts
          {currency: "USD", duration: "4h", gpu: "A100", model: "llama-70b", node_id: "node-17", org_id: "HARBOR", org_name: "Harbor Homes", price: 1.2, project_id: "QUAYSIDE", project_name: "Quayside Lofts", provider: "runpod", region: "eu-west-1", spot: true, user_id: null}
        to endpoints, org HARBOR, project QUAYSIDE
        to OrgOwners { org_id: HARBOR, except: None } but ADA, project QUAYSIDE, in app, e-mail Immediate
        "#);
        insta::assert_snapshot!(mail(IT), @"
        Node node-17 was launched

        Severity: Info

        Provider: runpod
        Region: eu-west-1
        GPU: A100
        Model: llama-70b
        Duration: 4h
        Spot: yes
        Price: USD 1.20
        Organisation: Harbor Homes
        Project: Quayside Lofts

        Take a look:
        https://app.example.com/project/workspace/5eed5eed-fa11-4003-8000-000000000001

        ---
        You get this because it is about you, or about an organisation of yours,
        on app.example.com.
        ");
    }
}
