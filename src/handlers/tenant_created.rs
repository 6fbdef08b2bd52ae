//! A tenant signed up.
//!
//! Optional keys: `email`, `billing_plan`, and those of an [`Operation`].

use super::Names;
use super::notice::object;
use super::operation::{Operation, OperatorEvent};
use super::telling::Telling;
use crate::domain::announcement::Severity;
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct TenantCreated {
    operation: Operation,
    tenant_id: Option<String>,
    name: String,
    email: Option<String>,
    billing_plan: Option<String>,
}

impl TenantCreated {
    pub(super) fn parse(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        Ok(Self {
            operation: Operation::act(fields),
            tenant_id: fields.id("tenant_id"),
            name: fields.required_text("name")?.to_owned(),
            email: fields.text("email").map(str::to_owned),
            billing_plan: fields.text("billing_plan").map(str::to_owned),
        })
    }
}

impl OperatorEvent for TenantCreated {
    fn operation(&self) -> &Operation {
        &self.operation
    }

    fn telling(&self, _names: &Names) -> Telling {
        let data = object! {
            "tenant_id": self.tenant_id,
            "name": self.name,
            "email": self.email,
            "billing_plan": self.billing_plan,
        };
        Telling::new(Severity::Info, data, |style| {
            format!("{} signed up as a new tenant", style.name(&self.name))
        })
        .with("E-mail", self.email.as_deref())
        .with("Plan", self.billing_plan.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{ACME, GONE, HOSTILE, told, told_without_columns};

    const IT: EventType = EventType::TenantCreated;

    #[test]
    fn endpoints_and_owners_hear_of_it() {
        insta::assert_snapshot!(told(IT, json!({
            "name": "Acme",
            "email": "ada@example.com",
            "billing_plan": "growth",
            "unknown": [1],
        })), @"");
    }

    #[test]
    fn a_tenant_that_is_no_organisation_here() {
        insta::assert_snapshot!(told_without_columns(IT, json!({"name": HOSTILE, "tenant_id": 7})), @"");
    }

    #[test]
    fn the_organisation_may_stand_in_the_payload() {
        for payload in [
            json!({"name": "Acme", "org_id": ACME, "tenant_id": GONE}),
            json!({"name": "Acme", "tenant_id": ACME}),
        ] {
            let told = told_without_columns(IT, payload);
            assert!(told.starts_with("to OrgOwners { org_id: ACME, except: None }\n"), "{told}");
        }
    }

    #[test]
    fn required_keys() {
        let errors = [told(IT, json!({})), told(IT, json!({"name": 7})), told(IT, json!({"name": " "}))];
        insta::assert_snapshot!(errors.join("\n"), @"");
    }
}
