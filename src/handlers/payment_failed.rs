//! A tenant's payment failed. Severity: critical.

use super::prelude::*;
use super::sample::NORTHWIND;

payload! {
    pub(super) struct PaymentFailed {
        context: OperatorContext,
        tenant_id: Id,
        amount: Amount,
        reason: Option<String>,
    }
}

impl OperatorEvent for PaymentFailed {
    const DOTTED: &'static str = "payment.failed";

    fn sample() -> EventRow {
        let payload = json!({
            "tenant_id": "tenant-31",
            "reason": "The card was declined",
            "amount": 96.5,
        });
        EventRow {
            event_type: Self::DOTTED.to_owned(),
            ..sample::event([NORTHWIND], payload)
        }
    }

    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn message(&self, names: &Names) -> OperatorMessage {
        let tenant = self.context.tenant(names);
        let data = object! {
            "tenant_id": self.tenant_id,
            "tenant_name": tenant.name,
            "amount": self.amount.quantity.number(),
            "currency": self.amount.currency,
            "reason": self.reason,
        };
        OperatorMessage::new(names, Severity::Critical, data, |style| {
            let amount = style.name(self.amount.to_string());
            let who = match tenant.name {
                Some(name) => style.name(name),
                None => format!("tenant {}", style.name(&self.tenant_id.0)),
            };
            format!("Payment of {amount} by {who} failed")
        })
        .with("Reason", self.reason.as_ref())
        .with("Tenant", tenant.name.and(Some(&self.tenant_id.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventType::PaymentFailed as IT;
    use super::super::fixture::{planned, sample, with};
    use super::super::sample::HARBOR;
    use super::{EventRow, json};

    #[test]
    fn the_tenant_is_an_organisation_or_unknown_here() {
        let titles = [json!(HARBOR), json!("t-17")].map(|tenant_id| {
            let row = EventRow {
                org_id: None,
                ..with(sample(IT), json!({"tenant_id": tenant_id}))
            };
            let planned = planned(IT, &row);
            planned.lines().next().expect("a title").to_owned()
        });
        insta::assert_snapshot!(titles.join("\n"), @"
        critical: Payment of USD 96.50 by Harbor Homes failed
        critical: Payment of USD 96.50 by tenant t-17 failed
        ");
    }
}
