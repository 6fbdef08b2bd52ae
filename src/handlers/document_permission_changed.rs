//! A person's access to a document was changed: they are notified if they may edit what they could
//! only view. Any other change completes without effect.

use serde_json::json;

use super::access::DocumentAccess;
use super::payload::payload;
use super::sample::{self, APPRAISAL, BRUNO, Column, DEV, QUAYSIDE};
use super::{Event, Names};
use crate::domain::event::EventRow;
use crate::domain::plan::Plan;

payload! {
    pub(super) struct DocumentPermissionChanged {
        document: DocumentAccess,
    }
}

impl Event for DocumentPermissionChanged {
    fn samples() -> Vec<EventRow> {
        let payload = json!({
            "affected_user_id": DEV,
            "old_permission": "view",
            "new_permission": "edit",
        });
        vec![sample::event(
            [
                Column::Actor(BRUNO),
                Column::Project(QUAYSIDE),
                Column::Document(APPRAISAL),
            ],
            payload,
        )]
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let access = &self.document.access;
        if !access.is_view_to_edit() {
            return Vec::new();
        }
        let data = access.change_data(names, "document_permission_changed");
        self.document.plan(names, data, |style, place| {
            access.changed(names, style, place)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType::DocumentPermissionChanged as IT;
    use super::super::fixture::planned_with;

    #[test]
    fn message() {
        insta::assert_snapshot!(planned_with(IT, json!({})), @r#"
        to User(DEV), project QUAYSIDE, in app
          Bruno Keller changed your access to Appraisal report.pdf · Quayside Lofts from view to edit
          **Bruno Keller** changed your access to **Appraisal report.pdf** · **Quayside Lofts** from **view** to **edit**.
          /project/workspace/QUAYSIDE?resourceId=APPRAISAL
          {actor_id: "BRUNO", actor_name: "Bruno Keller", new_permission: "edit", old_permission: "view", project_id: "QUAYSIDE", project_name: "Quayside Lofts", resource_id: "APPRAISAL", resource_name: "Appraisal report.pdf", type: "document_permission_changed"}
        "#);
    }

    #[test]
    fn other_changes_have_no_effect() {
        for payload in [
            json!({"old_permission": "edit", "new_permission": "view"}),
            json!({"old_permission": null}),
        ] {
            assert_eq!(planned_with(IT, payload), "");
        }
    }
}
