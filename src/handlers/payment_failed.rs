//! A tenant's payment failed. Severity: critical.

use serde_json::json;

use super::Names;
use super::draft::object;
use super::operator::{OperatorContext, OperatorEvent};
use super::operator_message::OperatorMessage;
use super::payload::payload;
use super::sample::{self, Column, NORTHWIND};
use crate::domain::announcement::Severity;
use crate::domain::event::EventRow;
use crate::domain::payload::Id;
use crate::domain::quantity::Amount;

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
        let event = sample::event(
            [Column::Org(NORTHWIND)],
            json!({
                "tenant_id": "tenant-31",
                "reason": "The card was declined",
                "amount": 96.5,
            }),
        );
        EventRow {
            event_type: Self::DOTTED.to_owned(),
            ..event
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
            match tenant.name {
                Some(name) => format!("Payment of {amount} by {} failed", style.name(name)),
                None => format!(
                    "Payment of {amount} by tenant {} failed",
                    style.name(&self.tenant_id.0)
                ),
            }
        })
        .with("Reason", self.reason.as_ref())
        .with("Tenant", tenant.name.and(Some(&self.tenant_id.0)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType::PaymentFailed as IT;
    use super::super::fixture::{planned, planned_with, with};
    use super::super::sample::HARBOR;
    use super::EventRow;

    #[test]
    fn message() {
        insta::assert_snapshot!(planned_with(IT, json!({})), @r#"
        critical: Payment of USD 96.50 by Northwind Lending failed
          Reason: The card was declined
          Tenant: tenant-31
          {amount: 96.5, currency: "USD", org_id: "NORTHWIND", org_name: "Northwind Lending", project_id: null, project_name: null, reason: "The card was declined", tenant_id: "tenant-31", tenant_name: "Northwind Lending", user_id: null}
        to endpoints, org NORTHWIND
        to OrgOwners { org_id: NORTHWIND, except: None }, in app, e-mail Immediate
        "#);
    }

    #[test]
    fn the_tenant_is_an_organisation_or_unknown_here() {
        let planned = |tenant_id: serde_json::Value| {
            let row = EventRow {
                org_id: None,
                ..with(IT, json!({ "tenant_id": tenant_id }))
            };
            planned(IT, &row)
                .lines()
                .take(2)
                .collect::<Vec<_>>()
                .join(" / ")
        };
        insta::assert_snapshot!([planned(json!(HARBOR)), planned(json!("t-17"))].join("\n"), @"
        critical: Payment of USD 96.50 by Harbor Homes failed /   Reason: The card was declined
        critical: Payment of USD 96.50 by tenant t-17 failed /   Reason: The card was declined
        ");
    }
}
