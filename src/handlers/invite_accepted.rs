//! Somebody accepted an invitation to an organisation: its owners hear of it.
//!
//! The new member is `new_member_id` before the actor, who may be an administrator acting for
//! him; neither of them hears of it. Optional keys: `new_member_name`, `new_member_email`,
//! `org_name`, and where it came with a project `project_id` (else the column), `project_name`.

use uuid::Uuid;

use super::draft::{Draft, object};
use super::entity::Entity;
use super::{Handler, Lookups, Names};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::{Audience, EmailTiming, Plan};

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct InviteAccepted {
    actor_id: Option<Uuid>,
    org_id: Uuid,
    org: Entity,
    project: Entity,
    new_member_id: Uuid,
    new_member: Entity,
    new_member_email: Option<String>,
}

impl InviteAccepted {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        let row = fields.row;
        let org_id = fields.column_or_key("org_id", row.org_id, "org_id")?;
        let actor_id = row
            .actor_id
            .filter(|_| fields.value("new_member_id").is_none());
        let new_member_id = fields.column_or_key("actor_id", actor_id, "new_member_id")?;
        Ok(Self {
            actor_id: row.actor_id,
            org_id,
            org: Entity::org(fields, org_id),
            project: Entity::any_project(fields),
            new_member_id,
            new_member: Entity::person(fields, Some(new_member_id), &["new_member_name"]),
            new_member_email: fields.text("new_member_email").map(str::to_owned),
        })
    }
}

impl Handler for InviteAccepted {
    fn lookups(&self, lookups: &mut Lookups) {
        lookups.extend([&self.org, &self.project, &self.new_member]);
        if self.new_member_email.is_none() {
            lookups.people.insert(self.new_member_id);
        }
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let [org, project, member] = names.of([&self.org, &self.project, &self.new_member]);
        let given_email = self.new_member_email.as_deref();
        let email = given_email.or_else(|| names.email(self.new_member_id));
        let who = member.name.or(email).unwrap_or(member.words);
        let draft = Draft::new(
            names.body_format(),
            names.links().team(self.org_id),
            object! {
                "type": "invite_accepted",
                "org_id": org.id,
                "org_name": org.name,
                "new_member_id": member.id,
                "new_member_name": who,
                "new_member_email": email,
            },
            |style| {
                let (who, place) = (style.name(who), style.name(org.words));
                format!("{who} accepted the invitation to {place}")
            },
        );
        vec![Plan {
            audience: Audience::OrgOwners {
                org_id: self.org_id,
                except: Some(self.new_member_id),
            },
            actor_id: self.actor_id,
            scopes: project.scopes(),
            in_app: draft.in_app(),
            email: Some(draft.email(EmailTiming::Immediate, project)),
            once_key: None,
        }]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{ACME, BO, GONE, HOSTILE, planned, planned_without_columns};

    const IT: EventType = EventType::InviteAccepted;

    #[test]
    fn the_actor_is_the_new_member() {
        insta::assert_snapshot!(planned(IT, json!({})), @r#"
        to OrgOwners { org_id: ACME, except: Some(ADA) } but ADA, project ATLAS
          app each: Ada accepted the invitation to Acme
            **Ada** accepted the invitation to **Acme**.
            /team
            {new_member_email: "ada@example.com", new_member_id: "ADA", new_member_name: "Ada", org_id: "ACME", org_name: "Acme", type: "invite_accepted"}
          mail Immediate: Ada accepted the invitation to Acme (ATLAS Atlas)
            {link_url: "/team"}
        "#);
    }

    #[test]
    fn the_payload_names_the_new_member() {
        insta::assert_snapshot!(planned(IT, json!({
            "new_member_id": BO,
            "new_member_name": "Bo",
            "new_member_email": "bo@home.example",
            "org_name": HOSTILE,
        })), @r#"
        to OrgOwners { org_id: ACME, except: Some(BO) } but ADA, project ATLAS
          app each: Bo accepted the invitation to [Win](https://evil.example) <img src=x> @all **now** `` # !
            **Bo** accepted the invitation to **[Win](https://evil.example) <img src=x> @all now `` # !**.
            /team
            {new_member_email: "bo@home.example", new_member_id: "BO", new_member_name: "Bo", org_id: "ACME", org_name: "HOSTILE", type: "invite_accepted"}
          mail Immediate: Bo accepted the invitation to [Win](https://evil.example) <img src=x> @all **now** `` # ! (ATLAS Atlas)
            {link_url: "/team"}
        "#);
    }

    #[test]
    fn known_by_address_only() {
        insta::assert_snapshot!(planned(IT, json!({"new_member_id": BO})), @r#"
        to OrgOwners { org_id: ACME, except: Some(BO) } but ADA, project ATLAS
          app each: bo@example.com accepted the invitation to Acme
            **bo@example.com** accepted the invitation to **Acme**.
            /team
            {new_member_email: "bo@example.com", new_member_id: "BO", new_member_name: "bo@example.com", org_id: "ACME", org_name: "Acme", type: "invite_accepted"}
          mail Immediate: bo@example.com accepted the invitation to Acme (ATLAS Atlas)
            {link_url: "/team"}
        "#);
        insta::assert_snapshot!(planned(IT, json!({
            "new_member_id": GONE,
            "new_member_email": "new@example.com",
        })), @r#"
        to OrgOwners { org_id: ACME, except: Some(GONE) } but ADA, project ATLAS
          app each: new@example.com accepted the invitation to Acme
            **new@example.com** accepted the invitation to **Acme**.
            /team
            {new_member_email: "new@example.com", new_member_id: "GONE", new_member_name: "new@example.com", org_id: "ACME", org_name: "Acme", type: "invite_accepted"}
          mail Immediate: new@example.com accepted the invitation to Acme (ATLAS Atlas)
            {link_url: "/team"}
        "#);
    }

    #[test]
    fn required_keys() {
        assert_eq!(
            planned(IT, json!({"new_member_id": "bo"})),
            "invalid invite_accepted event: payload.new_member_id must be a UUID"
        );
        assert_eq!(
            planned_without_columns(IT, json!({})),
            "invalid invite_accepted event: org_id or payload.org_id is required"
        );
        assert_eq!(
            planned_without_columns(IT, json!({"org_id": 1})),
            "invalid invite_accepted event: payload.org_id must be a UUID"
        );
        assert_eq!(
            planned_without_columns(IT, json!({"org_id": ACME})),
            "invalid invite_accepted event: actor_id or payload.new_member_id is required"
        );
        let both = json!({"org_id": ACME, "new_member_id": GONE});
        insta::assert_snapshot!(planned_without_columns(IT, both), @r#"
        to OrgOwners { org_id: ACME, except: Some(GONE) }
          app each: Someone accepted the invitation to Acme
            **Someone** accepted the invitation to **Acme**.
            /team
            {new_member_email: null, new_member_id: "GONE", new_member_name: "Someone", org_id: "ACME", org_name: "Acme", type: "invite_accepted"}
          mail Immediate: Someone accepted the invitation to Acme ( )
            {link_url: "/team"}
        "#);
    }
}
