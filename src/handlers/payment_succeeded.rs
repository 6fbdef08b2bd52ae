//! A tenant paid. Severity: success.

use super::prelude::*;
use super::sample::HARBOR;

payload! {
    pub(super) struct PaymentSucceeded {
        context: OperatorContext,
        amount: Amount,
        payment_id: Id,
    }
}

impl OperatorEvent for PaymentSucceeded {
    const DOTTED: &'static str = "payment.succeeded";

    fn sample() -> EventRow {
        let payload = json!({"amount": "480.00", "currency": "EUR", "payment_id": "pay_20491"});
        sample::event([HARBOR], payload)
    }

    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn message(&self, names: &Names) -> OperatorMessage {
        let tenant = self.context.tenant(names);
        let data = object! {
            "tenant_name": tenant.name,
            "amount": self.amount.quantity.number(),
            "currency": self.amount.currency,
            "payment_id": self.payment_id,
        };
        OperatorMessage::new(names, Severity::Success, data, |style| {
            let who = style.name(tenant.name.unwrap_or("A tenant"));
            format!("{who} paid {}", style.name(self.amount.to_string()))
        })
        .with("Payment", Some(&self.payment_id.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventType::PaymentSucceeded as IT;
    use super::super::fixture::{planned, sample, with};
    use super::{EventRow, json};

    #[test]
    fn the_tenant_may_be_a_name_only() {
        let row = EventRow {
            org_id: None,
            ..sample(IT)
        };
        for (payload, expected) in [
            (
                json!({"tenant_name": "Cy & Co"}),
                "success: Cy & Co paid EUR 480.00\n",
            ),
            (
                json!({"currency": null}),
                "success: A tenant paid USD 480.00\n",
            ),
        ] {
            let planned = planned(IT, &with(row.clone(), payload));
            assert!(planned.starts_with(expected), "{planned}");
            assert!(!planned.contains("OrgOwners"), "{planned}");
        }
    }
}
