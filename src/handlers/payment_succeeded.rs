//! A tenant paid.
//!
//! Optional keys: `currency` (else US dollars, unless the amount names it), and those of an
//! [`Operation`].

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
pub(super) struct PaymentSucceeded {
    operation: Operation,
    amount: Amount,
    payment_id: String,
}

impl PaymentSucceeded {
    pub(super) fn parse(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        Ok(Self {
            operation: Operation::parse(fields),
            amount: fields.required_amount("amount")?,
            payment_id: fields.required_id("payment_id")?,
        })
    }
}

impl OperatorEvent for PaymentSucceeded {
    fn operation(&self) -> &Operation {
        &self.operation
    }

    fn telling(&self, names: &Names) -> Telling {
        let tenant = self.operation.tenant(names);
        let data = object! {
            "tenant_name": tenant.name,
            "amount": self.amount.quantity.number(),
            "currency": self.amount.currency,
            "payment_id": self.payment_id,
        };
        Telling::new(Severity::Success, data, |style| {
            let who = style.name(tenant.name.unwrap_or("A tenant"));
            format!("{who} paid {}", style.name(&self.amount.to_string()))
        })
        .with("Payment", Some(&self.payment_id))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{HOSTILE, told, told_without_columns};

    const IT: EventType = EventType::PaymentSucceeded;

    #[test]
    fn the_tenant_is_the_organisation() {
        insta::assert_snapshot!(told(IT, json!({"amount": 12.5, "currency": "eur", "payment_id": "pi_1"})), @"");
    }

    #[test]
    fn the_tenant_may_be_a_name_only() {
        insta::assert_snapshot!(told_without_columns(IT, json!({
            "tenant_name": HOSTILE,
            "amount": "99.00",
            "payment_id": 4711,
        })), @"");
        let told = told_without_columns(IT, json!({"amount": 1, "payment_id": 1}));
        assert!(told.contains(": A tenant paid USD 1\n"), "{told}");
    }

    #[test]
    fn required_keys() {
        let errors = [
            json!({}),
            json!({"amount": "free"}),
            json!({"amount": true}),
            json!({"amount": 1}),
            json!({"amount": 1, "payment_id": 1.5}),
            json!({"amount": 1, "payment_id": "x".repeat(256)}),
        ];
        insta::assert_snapshot!(errors.map(|payload| told(IT, payload)).join("\n"), @"");
    }
}
