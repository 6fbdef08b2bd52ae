//! A person's access to a project was granted: they are notified.

use serde_json::json;
use uuid::Uuid;

use super::access::Access;
use super::draft::Draft;
use super::payload::payload;
use super::sample::{self, ADA, Column, FARID, QUAYSIDE};
use super::{Event, MailTemplates, Names};
use crate::domain::event::EventRow;
use crate::domain::plan::{EmailTiming, Plan};

payload! {
    pub(super) struct ProjectAccessGranted {
        project_id: Uuid = |fields| {
            fields.column_or_key("project_id", fields.row.project_id, "project_id")
        },
        access: Access,
    }
}

impl Event for ProjectAccessGranted {
    const MAIL: Option<MailTemplates> =
        Some(templates!("project_access_granted", "new_permission"));

    fn samples() -> Vec<EventRow> {
        // Farid, who has muted e-mails, reads it in the application only.
        vec![sample::event(
            [Column::Actor(ADA), Column::Project(QUAYSIDE)],
            json!({"affected_user_id": FARID, "new_permission": "view"}),
        )]
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let access = &self.access;
        let [project] = names.of([&access.project]);
        let draft = Draft::new(
            names,
            names.links().project(self.project_id),
            access.grant_data(names, "project_access_granted"),
            |style| access.gave(names, style, &style.name(project.label)),
        );
        vec![Plan {
            email: Some(draft.email(EmailTiming::Immediate, project)),
            ..access.plan(&draft)
        }]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType::ProjectAccessGranted as IT;
    use super::super::fixture::{mail, planned_with};

    #[test]
    fn message() {
        insta::assert_snapshot!(planned_with(IT, json!({})), @r#"
        to User(FARID), project QUAYSIDE, in app, e-mail Immediate
          Ada Okafor gave you view access to Quayside Lofts
          **Ada Okafor** gave you **view** access to **Quayside Lofts**.
          /project/workspace/QUAYSIDE
          {actor_id: "ADA", actor_name: "Ada Okafor", new_permission: "view", project_id: "QUAYSIDE", project_name: "Quayside Lofts", type: "project_access_granted"}
          e-mail, Quayside Lofts: Ada Okafor gave you view access to Quayside Lofts
          {link_url: "/project/workspace/QUAYSIDE"}
        "#);
        insta::assert_snapshot!(mail(IT), @"
        You have access to a project

        Ada Okafor gave you view access to Quayside Lofts.

        Open the project:
        https://app.example.com/project/workspace/5eed5eed-fa11-4003-8000-000000000001

        ---
        You get this because your access to a project on app.example.com
        changed.
        ");
    }

    #[test]
    fn it_is_view_access_unless_the_payload_says_otherwise() {
        let planned = planned_with(IT, json!({"new_permission": 7}));
        assert!(
            planned.contains("Ada Okafor gave you view access"),
            "{planned}"
        );
        let planned = planned_with(IT, json!({"new_permission": "edit"}));
        assert!(
            planned.contains("Ada Okafor gave you edit access"),
            "{planned}"
        );
    }
}
