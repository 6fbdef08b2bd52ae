//! Somebody's access to a document was changed: he hears of it if he may edit what he could only
//! view; any other change completes without effect.
//!
//! Optional keys: those of [`DocumentAccess`].

use super::access::DocumentAccess;
use super::{Handler, Lookups, Names};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::Plan;

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct DocumentPermissionChanged(DocumentAccess);

impl DocumentPermissionChanged {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        DocumentAccess::decode(fields).map(Self)
    }
}

impl Handler for DocumentPermissionChanged {
    fn lookups(&self, lookups: &mut Lookups) {
        if self.0.access.is_view_to_edit() {
            self.0.lookups(lookups);
        }
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let access = &self.0.access;
        if !access.is_view_to_edit() {
            return Vec::new();
        }
        let [who, _] = access.named(names);
        let data = access.change_data("document_permission_changed", names);
        self.0.plan(data, names, |style, place| {
            access.changed(style, who, place)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{ADA, ATLAS, BO, HOSTILE, planned, planned_without_columns};

    const IT: EventType = EventType::DocumentPermissionChanged;

    #[test]
    fn from_view_to_edit() {
        insta::assert_snapshot!(planned(IT, json!({
            "affected_user_id": BO,
            "old_permission": "view",
            "new_permission": "edit",
        })), @r#"
        to User(BO), project ATLAS
          app each: Ada changed your access to report.pdf · Atlas from view to edit
            **Ada** changed your access to **report.pdf** · **Atlas** from **view** to **edit**.
            /project/workspace/ATLAS?resourceId=REPORT
            {actor_id: "ADA", actor_name: "Ada", new_permission: "edit", old_permission: "view", project_id: "ATLAS", project_name: "Atlas", resource_id: "REPORT", resource_name: "report.pdf", type: "document_permission_changed"}
        "#);
        insta::assert_snapshot!(planned(IT, json!({
            "affected_user_id": BO,
            "old_permission": "view",
            "new_permission": "edit",
            "fileName": HOSTILE,
        })), @r#"
        to User(BO), project ATLAS
          app each: Ada changed your access to [Win](https://evil.example) <img src=x> @all **now** `` # ! · Atlas from view to edit
            **Ada** changed your access to **[Win](https://evil.example) <img src=x> @all now `` # !** · **Atlas** from **view** to **edit**.
            /project/workspace/ATLAS?resourceId=REPORT
            {actor_id: "ADA", actor_name: "Ada", new_permission: "edit", old_permission: "view", project_id: "ATLAS", project_name: "Atlas", resource_id: "REPORT", resource_name: "HOSTILE", type: "document_permission_changed"}
        "#);
    }

    #[test]
    fn any_other_change_is_without_effect() {
        assert_eq!(
            planned(
                IT,
                json!({
                    "affected_user_id": BO,
                    "old_permission": "edit",
                    "new_permission": "view",
                })
            ),
            "nobody"
        );
        assert_eq!(
            planned(
                IT,
                json!({"affected_user_id": BO, "new_permission": "edit"})
            ),
            "nobody"
        );
    }

    #[test]
    fn the_actor_may_be_the_person_affected() {
        insta::assert_snapshot!(planned(IT, json!({"affected_user_id": ADA, "old_permission": "view", "new_permission": "edit"})), @r#"
        to User(ADA), project ATLAS
          app each: Your access to report.pdf · Atlas was changed from view to edit
            Your access to **report.pdf** · **Atlas** was changed from **view** to **edit**.
            /project/workspace/ATLAS?resourceId=REPORT
            {actor_id: "ADA", actor_name: null, new_permission: "edit", old_permission: "view", project_id: "ATLAS", project_name: "Atlas", resource_id: "REPORT", resource_name: "report.pdf", type: "document_permission_changed"}
        "#);
    }

    #[test]
    fn required_keys() {
        assert_eq!(
            planned(IT, json!({})),
            "invalid document_permission_changed event: payload.affected_user_id is required"
        );
        assert_eq!(
            planned_without_columns(IT, json!({"affected_user_id": BO, "project_id": ATLAS})),
            "invalid document_permission_changed event: resource_id or payload.resource_id is required"
        );
    }
}
