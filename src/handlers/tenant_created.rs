//! A tenant signed up. Severity: info.

use super::prelude::*;
use super::sample::NORTHWIND;

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
        let payload = json!({
            "name": "Northwind Lending",
            "email": "billing@example.org",
            "billing_plan": "growth",
        });
        sample::event([NORTHWIND], payload)
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
