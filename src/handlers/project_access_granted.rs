//! A person's access to a project was granted: they are notified.

use super::access::Access;
use super::prelude::*;
use super::sample::{ADA, FARID, QUAYSIDE};

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
        let payload = json!({"affected_user_id": FARID, "new_permission": "view"});
        vec![sample::event([ADA, QUAYSIDE], payload)]
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
    use super::super::EventType::ProjectAccessGranted as IT;
    use super::super::fixture::titles;
    use super::json;

    #[test]
    fn it_is_view_access_unless_the_payload_says_otherwise() {
        let permissions = [json!(7), json!("edit")];
        let permissions = permissions.map(|name| json!({"new_permission": name}));
        insta::assert_snapshot!(titles(IT, permissions), @"
        Ada Okafor gave you view access to Quayside Lofts
        Ada Okafor gave you edit access to Quayside Lofts
        ");
    }
}
