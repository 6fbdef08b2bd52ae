//! A person accepted an invitation to an organisation: its owners are notified.
//!
//! The new member is `new_member_id` before the actor, who may be an administrator acting for
//! them; neither is notified.

use super::Lookups;
use super::payload::Part;
use super::prelude::*;
use super::sample::{CHIARA, HARBOR};
use crate::domain::event::InvalidEvent;

payload! {
    pub(super) struct InviteAccepted {
        actor_id: Option<Uuid> = |fields| Ok(fields.row.actor_id),
        org_id: Uuid = |fields| fields.column_or_key("org_id", fields.row.org_id, "org_id"),
        org: Entity = |fields| {
            let id = fields.column_or_key("org_id", fields.row.org_id, "org_id")?;
            Ok(Entity::org(fields, id))
        },
        project: Entity,
        new_member: NewMember,
    }
}

#[derive(Debug)]
pub(super) struct NewMember {
    id: Uuid,
    person: Entity,
    email: Option<String>,
}

impl Part for NewMember {
    fn decode(fields: Fields<'_>, _: &'static str) -> Result<Self, InvalidEvent> {
        let is_named = fields.value("new_member_id").is_some();
        let actor_id = fields.row.actor_id.filter(|_| !is_named);
        let id = fields.column_or_key("actor_id", actor_id, "new_member_id")?;
        Ok(Self {
            id,
            person: Entity::person(fields, Some(id), &["new_member_name"]),
            email: fields.optional("new_member_email"),
        })
    }

    fn lookups(&self, lookups: &mut Lookups) {
        self.person.lookups(lookups);
        if self.email.is_none() {
            lookups.people.insert(self.id);
        }
    }
}

impl Event for InviteAccepted {
    const MAIL: Option<MailTemplates> = Some(templates!("invite_accepted", "new_member_name"));

    fn samples() -> Vec<EventRow> {
        // Ada gets an e-mail of its own, Bruno one in a digest.
        vec![sample::event([CHIARA, HARBOR], json!({}))]
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let NewMember { id, person, email } = &self.new_member;
        let [org, project, member] = names.of([&self.org, &self.project, person]);
        let email = email.as_deref().or_else(|| names.email(*id));
        let who = member.name.or(email).unwrap_or(member.label);
        let draft = Draft::new(
            names,
            names.links().team(self.org_id),
            object! {
                "type": "invite_accepted",
                "org_id": org.id,
                "org_name": org.name,
                "new_member_id": id,
                "new_member_name": who,
                "new_member_email": email,
            },
            |style| {
                let (who, place) = (style.name(who), style.name(org.label));
                format!("{who} accepted the invitation to {place}")
            },
        );
        let audience = Audience::OrgOwners {
            org_id: self.org_id,
            except: Some(*id),
        };
        vec![Plan {
            actor_id: self.actor_id,
            email: Some(draft.email(EmailTiming::Immediate, project)),
            ..draft.plan(audience, self.project.scopes())
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventType::InviteAccepted as IT;
    use super::super::fixture::{planned_with, titles};
    use super::super::sample::FARID;
    use super::json;

    #[test]
    fn the_payload_may_name_the_new_member() {
        let invited = json!({"new_member_id": FARID, "new_member_email": "farid@example.com"});
        insta::assert_snapshot!(planned_with(IT, invited), @r#"
        to OrgOwners { org_id: HARBOR, except: Some(FARID) } but CHIARA, in app, e-mail Immediate
          farid@example.com accepted the invitation to Harbor Homes
          **farid@example.com** accepted the invitation to **Harbor Homes**.
          /team
          {new_member_email: "farid@example.com", new_member_id: "FARID", new_member_name: "farid@example.com", org_id: "HARBOR", org_name: "Harbor Homes", type: "invite_accepted"}
          e-mail, no project: farid@example.com accepted the invitation to Harbor Homes
          {link_url: "/team"}
        "#);
        let invalid = titles(IT, [json!({"new_member_id": "farid"})]);
        insta::assert_snapshot!(invalid, @"invalid invite_accepted event: payload.new_member_id must be a UUID");
    }
}
