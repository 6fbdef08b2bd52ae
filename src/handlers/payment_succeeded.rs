//! A tenant paid.
//!
//! Optional keys: `currency` (else US dollars, unless the amount names it), and those of an
//! [`OperatorContext`].

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
pub(super) struct PaymentSucceeded {
    context: OperatorContext,
    amount: Amount,
    payment_id: String,
}

impl PaymentSucceeded {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        Ok(Self {
            context: OperatorContext::decode(fields),
            amount: fields.required_amount("amount")?,
            payment_id: fields.required_id("payment_id")?,
        })
    }
}

impl OperatorEvent for PaymentSucceeded {
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
        OperatorMessage::new(names.body_format(), Severity::Success, data, |style| {
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
    use super::super::testing::{HOSTILE, planned, planned_without_columns};

    const IT: EventType = EventType::PaymentSucceeded;

    #[test]
    fn the_tenant_is_the_organisation() {
        insta::assert_snapshot!(planned(IT, json!({"amount": 12.5, "currency": "eur", "payment_id": "pi_1"})), @r#"
        to OrgOwners { org_id: ACME, except: None }, project ATLAS
          app each: Acme paid EUR 12.50
            **Acme** paid **EUR 12.50**.

        Payment: pi_1
        Project: Atlas
            /project/workspace/ATLAS
            {amount: 12.5, currency: "EUR", org_id: "ACME", org_name: "Acme", payment_id: "pi_1", project_id: "ATLAS", project_name: "Atlas", severity: "success", tenant_name: "Acme", type: "payment_succeeded"}
          mail Immediate: Acme paid EUR 12.50 (ATLAS Atlas)
            {fields: [{"name":"Payment","value":"pi_1"},{"name":"Project","value":"Atlas"}], link_url: "/project/workspace/ATLAS", text: null}
            without amount
            without currency
            without payment_id
            without tenant_name
        to endpoints, success, org ACME, project ATLAS: Acme paid EUR 12.50
            Payment: pi_1
            Project: Atlas
            /project/workspace/ATLAS
            {amount: 12.5, currency: "EUR", org_id: "ACME", org_name: "Acme", payment_id: "pi_1", project_id: "ATLAS", project_name: "Atlas", tenant_name: "Acme", user_id: null}
        "#);
    }

    #[test]
    fn the_tenant_may_be_a_name_only() {
        insta::assert_snapshot!(planned_without_columns(IT, json!({
            "tenant_name": HOSTILE,
            "amount": "99.00",
            "payment_id": 4711,
        })), @r#"
        to endpoints, success: [Win](https://evil.example) <img src=x> @all **now** `` # ! paid USD 99.00
            Payment: 4711
            /dashboard
            {amount: 99.0, currency: "USD", org_id: null, org_name: "HOSTILE", payment_id: "4711", project_id: null, project_name: null, tenant_name: "HOSTILE", user_id: null}
        "#);
        let planned = planned_without_columns(IT, json!({"amount": 1, "payment_id": 1}));
        assert!(planned.contains(": A tenant paid USD 1\n"), "{planned}");
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
        insta::assert_snapshot!(errors.map(|payload| planned(IT, payload)).join("\n"), @"
        invalid payment_succeeded event: payload.amount is required
        invalid payment_succeeded event: payload.amount must be an amount
        invalid payment_succeeded event: payload.amount must be an amount
        invalid payment_succeeded event: payload.payment_id is required
        invalid payment_succeeded event: payload.payment_id must be a short text or a whole number
        invalid payment_succeeded event: payload.payment_id must be a short text or a whole number
        ");
    }
}
