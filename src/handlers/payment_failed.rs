//! A tenant's payment failed.
//!
//! Optional keys: `reason`, `currency` (else US dollars, unless the amount names it), and those of
//! an [`OperatorContext`].

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
pub(super) struct PaymentFailed {
    context: OperatorContext,
    tenant_id: String,
    reason: Option<String>,
    amount: Amount,
}

impl PaymentFailed {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        Ok(Self {
            context: OperatorContext::decode(fields),
            tenant_id: fields.required_id("tenant_id")?,
            reason: fields.text("reason").map(str::to_owned),
            amount: fields.required_amount("amount")?,
        })
    }
}

impl OperatorEvent for PaymentFailed {
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
        OperatorMessage::new(names.body_format(), Severity::Critical, data, |style| {
            let amount = style.name(&self.amount.to_string());
            match tenant.name {
                Some(name) => format!("Payment of {amount} by {} failed", style.name(name)),
                None => format!(
                    "Payment of {amount} by tenant {} failed",
                    style.name(&self.tenant_id)
                ),
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
    use super::super::testing::{ACME, HOSTILE, planned, planned_without_columns};

    const IT: EventType = EventType::PaymentFailed;

    #[test]
    fn the_tenant_is_an_organisation() {
        insta::assert_snapshot!(planned_without_columns(IT, json!({
            "tenant_id": ACME,
            "reason": "card_declined",
            "amount": "49.90",
            "currency": "GBP",
        })), @r#"
        to OrgOwners { org_id: ACME, except: None }
          app each: Payment of GBP 49.90 by Acme failed
            Payment of **GBP 49.90** by **Acme** failed.

        Reason: card_declined
        Tenant: ACME
            /dashboard
            {amount: 49.9, currency: "GBP", org_id: "ACME", org_name: "Acme", project_id: null, project_name: null, reason: "card_declined", severity: "critical", tenant_id: "ACME", tenant_name: "Acme", type: "payment_failed"}
          mail Immediate: Payment of GBP 49.90 by Acme failed ( )
            {fields: [{"name":"Reason","value":"card_declined"},{"name":"Tenant","value":"ACME"}], link_url: "/dashboard", text: null}
            without amount
            without currency
            without reason
            without tenant_id
            without tenant_name
        to endpoints, critical, org ACME: Payment of GBP 49.90 by Acme failed
            Reason: card_declined
            Tenant: ACME
            /dashboard
            {amount: 49.9, currency: "GBP", org_id: "ACME", org_name: "Acme", project_id: null, project_name: null, reason: "card_declined", tenant_id: "ACME", tenant_name: "Acme", user_id: null}
        "#);
    }

    #[test]
    fn the_tenant_is_not_known_here() {
        insta::assert_snapshot!(planned_without_columns(IT, json!({
            "tenant_id": "t-17",
            "reason": HOSTILE,
            "amount": 49,
        })), @r#"
        to endpoints, critical: Payment of USD 49 by tenant t-17 failed
            Reason: [Win](https://evil.example) <img src=x> @all **now** `` # !
            /dashboard
            {amount: 49, currency: "USD", org_id: null, org_name: null, project_id: null, project_name: null, reason: "HOSTILE", tenant_id: "t-17", tenant_name: null, user_id: null}
        "#);
    }

    #[test]
    fn required_keys() {
        let errors = [
            json!({"amount": 1}),
            json!({"tenant_id": [], "amount": 1}),
            json!({"tenant_id": 1}),
            json!({"tenant_id": 1, "amount": {}}),
        ];
        insta::assert_snapshot!(errors.map(|payload| planned(IT, payload)).join("\n"), @"
        invalid payment_failed event: payload.tenant_id is required
        invalid payment_failed event: payload.tenant_id must be a short text or a whole number
        invalid payment_failed event: payload.amount is required
        invalid payment_failed event: payload.amount must be an amount
        ");
    }
}
