//! A tenant signed up.
//!
//! Optional keys: `email`, `billing_plan`, and those of an [`OperatorContext`].

use super::Names;
use super::draft::object;
use super::operator::{OperatorContext, OperatorEvent};
use super::operator_message::OperatorMessage;
use crate::domain::announcement::Severity;
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct TenantCreated {
    context: OperatorContext,
    tenant_id: Option<String>,
    name: String,
    email: Option<String>,
    billing_plan: Option<String>,
}

impl TenantCreated {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        Ok(Self {
            context: OperatorContext::act(fields),
            tenant_id: fields.id("tenant_id"),
            name: fields.required_text("name")?.to_owned(),
            email: fields.text("email").map(str::to_owned),
            billing_plan: fields.text("billing_plan").map(str::to_owned),
        })
    }
}

impl OperatorEvent for TenantCreated {
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
        OperatorMessage::new(names.body_format(), Severity::Info, data, |style| {
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
    use super::super::testing::{ACME, GONE, HOSTILE, planned, planned_without_columns};

    const IT: EventType = EventType::TenantCreated;

    #[test]
    fn endpoints_and_owners_hear_of_it() {
        insta::assert_snapshot!(planned(IT, json!({
            "name": "Acme",
            "email": "ada@example.com",
            "billing_plan": "growth",
            "unknown": [1],
        })), @r#"
        to OrgOwners { org_id: ACME, except: None } but ADA, project ATLAS
          app each: Acme signed up as a new tenant
            **Acme** signed up as a new tenant.

        E-mail: ada@example.com
        Plan: growth
        Project: Atlas
            /project/workspace/ATLAS
            {billing_plan: "growth", email: "ada@example.com", name: "Acme", org_id: "ACME", org_name: "Acme", project_id: "ATLAS", project_name: "Atlas", severity: "info", tenant_id: null, type: "tenant_created"}
          mail Immediate: Acme signed up as a new tenant (ATLAS Atlas)
            {fields: [{"name":"E-mail","value":"ada@example.com"},{"name":"Plan","value":"growth"},{"name":"Project","value":"Atlas"}], link_url: "/project/workspace/ATLAS", text: null}
            without billing_plan
            without email
            without name
            without tenant_id
        to endpoints, info, org ACME, project ATLAS: Acme signed up as a new tenant
            E-mail: ada@example.com
            Plan: growth
            Project: Atlas
            /project/workspace/ATLAS
            {billing_plan: "growth", email: "ada@example.com", name: "Acme", org_id: "ACME", org_name: "Acme", project_id: "ATLAS", project_name: "Atlas", tenant_id: null, user_id: null}
        "#);
    }

    #[test]
    fn a_tenant_that_is_no_organisation_here() {
        insta::assert_snapshot!(planned_without_columns(IT, json!({"name": HOSTILE, "tenant_id": 7})), @r#"
        to endpoints, info: [Win](https://evil.example) <img src=x> @all **now** `` # ! signed up as a new tenant
            /dashboard
            {billing_plan: null, email: null, name: "HOSTILE", org_id: null, org_name: null, project_id: null, project_name: null, tenant_id: "7", user_id: null}
        "#);
    }

    #[test]
    fn the_organisation_may_stand_in_the_payload() {
        for payload in [
            json!({"name": "Acme", "org_id": ACME, "tenant_id": GONE}),
            json!({"name": "Acme", "tenant_id": ACME}),
        ] {
            let planned = planned_without_columns(IT, payload);
            assert!(
                planned.starts_with("to OrgOwners { org_id: ACME, except: None }\n"),
                "{planned}"
            );
        }
    }

    #[test]
    fn required_keys() {
        let errors = [
            planned(IT, json!({})),
            planned(IT, json!({"name": 7})),
            planned(IT, json!({"name": " "})),
        ];
        insta::assert_snapshot!(errors.join("\n"), @"
        invalid tenant_created event: payload.name is required
        invalid tenant_created event: payload.name must be a text
        invalid tenant_created event: payload.name must be a text
        ");
    }
}
