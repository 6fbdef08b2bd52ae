//! A node was launched. Severity: info.

use super::prelude::*;
use super::sample::{ADA, HARBOR, QUAYSIDE};

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
        let payload = json!({
            "node_id": "node-17",
            "provider": "runpod",
            "region": "eu-west-1",
            "gpu": "A100",
            "model": "llama-70b",
            "duration": "4h",
            "spot": true,
            "price": "1.20",
        });
        // Of the owners Ada, who launched it, is not notified.
        sample::event([ADA, QUAYSIDE, HARBOR], payload)
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
        .with("Provider", self.provider.as_ref())
        .with("Region", self.region.as_ref())
        .with("GPU", self.gpu.as_ref())
        .with("Model", self.model.as_ref())
        .with("Duration", self.duration.as_ref())
        .with("Spot", spot)
        .with("Price", price)
    }
}
