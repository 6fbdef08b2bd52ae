//! A tenant's payment failed.
//!
//! Optional keys: `reason`, `currency` (else US dollars, unless the amount names it), and those of
//! an [`Operation`].

use super::Names;
use super::notice::object;
use super::operation::{Operation, OperatorEvent};
use super::telling::Telling;
use crate::domain::announcement::Severity;
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::quantity::Amount;

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct PaymentFailed {
    operation: Operation,
    tenant_id: String,
    reason: Option<String>,
    amount: Amount,
}

impl PaymentFailed {
    pub(super) fn parse(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        Ok(Self {
            operation: Operation::parse(fields),
            tenant_id: fields.required_id("tenant_id")?,
            reason: fields.text("reason").map(str::to_owned),
            amount: fields.required_amount("amount")?,
        })
    }
}

impl OperatorEvent for PaymentFailed {
    fn operation(&self) -> &Operation {
        &self.operation
    }

    fn telling(&self, names: &Names) -> Telling {
        let tenant = self.operation.tenant(names);
        let data = object! {
            "tenant_id": self.tenant_id,
            "tenant_name": tenant.name,
            "amount": self.amount.quantity.number(),
            "currency": self.amount.currency,
            "reason": self.reason,
        };
        Telling::new(Severity::Critical, data, |style| {
            let amount = style.name(&self.amount.to_string());
            match tenant.name {
                Some(name) => format!("Payment of {amount} by {} failed", style.name(name)),
                None => format!("Payment of {amount} by tenant {} failed", style.name(&self.tenant_id)),
            }
        })
        .with("Reason", self.reason.as_deref())
        .with("Tenant", tenant.name.and(Some(&self.tenant_id)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{ACME, HOSTILE, told, told_without_columns};

    const IT: EventType = EventType::PaymentFailed;

    #[test]
    fn the_tenant_is_an_organisation() {
        insta::assert_snapshot!(told_without_columns(IT, json!({
            "tenant_id": ACME,
            "reason": "card_declined",
            "amount": "49.90",
            "currency": "GBP",
        })), @"");
    }

    #[test]
    fn the_tenant_is_not_known_here() {
        insta::assert_snapshot!(told_without_columns(IT, json!({
            "tenant_id": "t-17",
            "reason": HOSTILE,
            "amount": 49,
        })), @"");
    }

    #[test]
    fn required_keys() {
        let errors = [
            json!({"amount": 1}),
            json!({"tenant_id": [], "amount": 1}),
            json!({"tenant_id": 1}),
            json!({"tenant_id": 1, "amount": {}}),
        ];
        insta::assert_snapshot!(errors.map(|payload| told(IT, payload)).join("\n"), @"");
    }
}
