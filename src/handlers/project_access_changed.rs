//! A person's access to a project was changed: they are notified, by e-mail only if it allows more.

use super::access::Access;
use super::prelude::*;
use super::sample::{ADA, DEV, QUAYSIDE};

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
        vec![sample::event([ADA, QUAYSIDE], payload)]
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
    use super::super::EventType::ProjectAccessChanged as IT;
    use super::super::fixture::{planned_with, titles};
    use super::json;

    #[test]
    fn other_changes_are_not_mailed() {
        let changes = [
            json!({"old_permission": "edit", "new_permission": "view"}),
            json!({"old_permission": null}),
            json!({"new_permission": null}),
        ];
        for change in &changes {
            let planned = planned_with(IT, change.clone());
            assert!(!planned.contains("e-mail"), "{planned}");
        }
        insta::assert_snapshot!(titles(IT, changes), @"
        Ada Okafor changed your access to Quayside Lofts from edit to view
        Ada Okafor changed your access to Quayside Lofts to edit
        Ada Okafor changed your access to Quayside Lofts
        ");
    }
}
