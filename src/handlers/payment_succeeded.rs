//! A tenant paid. Severity: success.

use serde_json::json;

use super::Names;
use super::draft::object;
use super::operator::{OperatorContext, OperatorEvent};
use super::operator_message::OperatorMessage;
use super::payload::payload;
use super::sample::{self, Column, HARBOR};
use crate::domain::announcement::Severity;
use crate::domain::event::EventRow;
use crate::domain::payload::Id;
use crate::domain::quantity::Amount;

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
        sample::event(
            [Column::Org(HARBOR)],
            json!({"amount": "480.00", "currency": "EUR", "payment_id": "pay_20491"}),
        )
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
    use serde_json::json;

    use super::super::EventType::PaymentSucceeded as IT;
    use super::super::fixture::{planned, planned_with, with};
    use super::EventRow;

    #[test]
    fn message() {
        insta::assert_snapshot!(planned_with(IT, json!({})), @r#"
        success: Harbor Homes paid EUR 480.00
          Payment: pay_20491
          {amount: 480.0, currency: "EUR", org_id: "HARBOR", org_name: "Harbor Homes", payment_id: "pay_20491", project_id: null, project_name: null, tenant_name: "Harbor Homes", user_id: null}
        to endpoints, org HARBOR
        to OrgOwners { org_id: HARBOR, except: None }, in app, e-mail Immediate
        "#);
    }

    #[test]
    fn the_tenant_may_be_a_name_only() {
        let row = |payload| EventRow {
            org_id: None,
            ..with(IT, payload)
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
            let planned = planned(IT, &row(payload));
            assert!(
                planned.starts_with(expected) && !planned.contains("OrgOwners"),
                "{planned}"
            );
        }
    }
}
