//! A tenant signed up. Severity: info.

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

payload! {
    pub(super) struct TenantCreated {
        context: OperatorContext,
        tenant_id: Option<Id>,
        name: String,
        email: Option<String>,
        billing_plan: Option<String>,
    }
}

impl OperatorEvent for TenantCreated {
    const DOTTED: &'static str = "tenant.created";
    const EXCLUDES_ACTOR: bool = true;

    fn sample() -> EventRow {
        sample::event(
            [Column::Org(NORTHWIND)],
            json!({
                "name": "Northwind Lending",
                "email": "billing@example.org",
                "billing_plan": "growth",
            }),
        )
    }

    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn message(&self, names: &Names) -> OperatorMessage {
        let data = object! {
            "tenant_id": self.tenant_id,
            "name": self.name,
            "email": self.email,
            "billing_plan": self.billing_plan,
        };
        OperatorMessage::new(names, Severity::Info, data, |style| {
            format!("{} signed up as a new tenant", style.name(&self.name))
        })
        .with("E-mail", self.email.as_ref())
        .with("Plan", self.billing_plan.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType::TenantCreated as IT;
    use super::super::fixture::planned_with;

    #[test]
    fn message() {
        insta::assert_snapshot!(planned_with(IT, json!({})), @r#"
        info: Northwind Lending signed up as a new tenant
          E-mail: billing@example.org
          Plan: growth
          {billing_plan: "growth", email: "billing@example.org", name: "Northwind Lending", org_id: "NORTHWIND", org_name: "Northwind Lending", project_id: null, project_name: null, tenant_id: null, user_id: null}
        to endpoints, org NORTHWIND
        to OrgOwners { org_id: NORTHWIND, except: None }, in app, e-mail Immediate
        "#);
    }
}
