//! A person's access to a project was changed: they are notified, by e-mail only if it allows more.

use serde_json::json;
use uuid::Uuid;

use super::access::Access;
use super::draft::Draft;
use super::payload::payload;
use super::sample::{self, ADA, Column, DEV, QUAYSIDE};
use super::{Event, MailTemplates, Names};
use crate::domain::event::EventRow;
use crate::domain::plan::{EmailTiming, Plan};

payload! {
    pub(super) struct ProjectAccessChanged {
        project_id: Uuid = |fields| {
            fields.column_or_key("project_id", fields.row.project_id, "project_id")
        },
        access: Access,
    }
}

impl Event for ProjectAccessChanged {
    const MAIL: Option<MailTemplates> = Some(templates!("project_access_changed"));

    fn samples() -> Vec<EventRow> {
        let payload = json!({
            "affected_user_id": DEV,
            "old_permission": "view",
            "new_permission": "edit",
        });
        let columns = [Column::Actor(ADA), Column::Project(QUAYSIDE)];
        vec![sample::event(columns, payload)]
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let access = &self.access;
        let [project] = names.of([&access.project]);
        let draft = Draft::new(
            names,
            names.links().project(self.project_id),
            access.change_data(names, "project_access_changed"),
            |style| access.changed(names, style, &style.name(project.label)),
        );
        let email = || draft.email(EmailTiming::Immediate, project);
        vec![Plan {
            email: access.is_view_to_edit().then(email),
            ..access.plan(&draft)
        }]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType::ProjectAccessChanged as IT;
    use super::super::fixture::{mail, planned_with};

    #[test]
    fn message() {
        insta::assert_snapshot!(planned_with(IT, json!({})), @r#"
        to User(DEV), project QUAYSIDE, in app, e-mail Immediate
          Ada Okafor changed your access to Quayside Lofts from view to edit
          **Ada Okafor** changed your access to **Quayside Lofts** from **view** to **edit**.
          /project/workspace/QUAYSIDE
          {actor_id: "ADA", actor_name: "Ada Okafor", new_permission: "edit", old_permission: "view", project_id: "QUAYSIDE", project_name: "Quayside Lofts", type: "project_access_changed"}
          e-mail, Quayside Lofts: Ada Okafor changed your access to Quayside Lofts from view to edit
          {link_url: "/project/workspace/QUAYSIDE"}
        "#);
        insta::assert_snapshot!(mail(IT), @"
        Your access changed

        Ada Okafor changed your access to Quayside Lofts from view to edit.

        Open the project:
        https://app.example.com/project/workspace/5eed5eed-fa11-4003-8000-000000000001

        ---
        You get this because your access to a project on app.example.com
        changed.
        ");
    }

    #[test]
    fn other_changes_are_not_mailed() {
        let changes = [
            json!({"old_permission": "edit", "new_permission": "view"}),
            json!({"old_permission": null}),
            json!({"new_permission": null}),
        ];
        let planned = changes.map(|payload| {
            let planned = planned_with(IT, payload);
            planned.lines().take(2).collect::<Vec<_>>().join("\n")
        });
        insta::assert_snapshot!(planned.join("\n"), @"
        to User(DEV), project QUAYSIDE, in app
          Ada Okafor changed your access to Quayside Lofts from edit to view
        to User(DEV), project QUAYSIDE, in app
          Ada Okafor changed your access to Quayside Lofts to edit
        to User(DEV), project QUAYSIDE, in app
          Ada Okafor changed your access to Quayside Lofts
        ");
    }
}
