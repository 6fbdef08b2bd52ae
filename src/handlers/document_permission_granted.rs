//! Somebody was given access to a document and hears of it.
//!
//! Optional keys: those of [`DocumentAccess`]; without `new_permission` it is to view.

use super::access::DocumentAccess;
use super::{Handler, Lookups, Names};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::Plan;

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct DocumentPermissionGranted(DocumentAccess);

impl DocumentPermissionGranted {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        DocumentAccess::decode(fields).map(Self)
    }
}

impl Handler for DocumentPermissionGranted {
    fn lookups(&self, lookups: &mut Lookups) {
        self.0.lookups(lookups);
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let access = &self.0.access;
        let [who, _] = access.named(names);
        let data = access.grant_data("document_permission_granted", names);
        self.0
            .plan(data, names, |style, place| access.gave(style, who, place))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{
        ADA, ATLAS, BO, HOSTILE, REPORT, planned, planned_without_columns,
    };

    const IT: EventType = EventType::DocumentPermissionGranted;

    #[test]
    fn to_view_unless_it_says_otherwise() {
        insta::assert_snapshot!(planned(IT, json!({"affected_user_id": BO})), @r#"
        to User(BO), project ATLAS
          app each: Ada gave you view access to report.pdf · Atlas
            **Ada** gave you **view** access to **report.pdf** · **Atlas**.
            /project/workspace/ATLAS?resourceId=REPORT
            {actor_id: "ADA", actor_name: "Ada", new_permission: "view", project_id: "ATLAS", project_name: "Atlas", resource_id: "REPORT", resource_name: "report.pdf", type: "document_permission_granted"}
        "#);
        insta::assert_snapshot!(planned(IT, json!({
            "affected_user_id": BO,
            "new_permission": "edit",
            "resource_name": HOSTILE,
        })), @r#"
        to User(BO), project ATLAS
          app each: Ada gave you edit access to [Win](https://evil.example) <img src=x> @all **now** `` # ! · Atlas
            **Ada** gave you **edit** access to **[Win](https://evil.example) <img src=x> @all now `` # !** · **Atlas**.
            /project/workspace/ATLAS?resourceId=REPORT
            {actor_id: "ADA", actor_name: "Ada", new_permission: "edit", project_id: "ATLAS", project_name: "Atlas", resource_id: "REPORT", resource_name: "HOSTILE", type: "document_permission_granted"}
        "#);
    }

    #[test]
    fn both_may_stand_in_the_payload() {
        insta::assert_snapshot!(planned_without_columns(IT, json!({
            "affected_user_id": BO,
            "project_id": ATLAS,
            "resource_id": REPORT,
        })), @r#"
        to User(BO), project ATLAS
          app each: Someone gave you view access to report.pdf · Atlas
            **Someone** gave you **view** access to **report.pdf** · **Atlas**.
            /project/workspace/ATLAS?resourceId=REPORT
            {actor_id: null, actor_name: "Someone", new_permission: "view", project_id: "ATLAS", project_name: "Atlas", resource_id: "REPORT", resource_name: "report.pdf", type: "document_permission_granted"}
        "#);
    }

    #[test]
    fn a_document_may_be_in_no_project() {
        insta::assert_snapshot!(planned_without_columns(IT, json!({
            "affected_user_id": BO,
            "resource_id": REPORT,
        })), @r#"
        to User(BO)
          app each: Someone gave you view access to report.pdf
            **Someone** gave you **view** access to **report.pdf**.
            /dashboard
            {actor_id: null, actor_name: "Someone", new_permission: "view", project_id: null, project_name: null, resource_id: "REPORT", resource_name: "report.pdf", type: "document_permission_granted"}
        "#);
    }

    #[test]
    fn the_actor_may_be_the_person_affected() {
        insta::assert_snapshot!(planned(IT, json!({"affected_user_id": ADA})), @r#"
        to User(ADA), project ATLAS
          app each: You were given view access to report.pdf · Atlas
            You were given **view** access to **report.pdf** · **Atlas**.
            /project/workspace/ATLAS?resourceId=REPORT
            {actor_id: "ADA", actor_name: null, new_permission: "view", project_id: "ATLAS", project_name: "Atlas", resource_id: "REPORT", resource_name: "report.pdf", type: "document_permission_granted"}
        "#);
    }

    #[test]
    fn required_keys() {
        assert_eq!(
            planned(IT, json!({})),
            "invalid document_permission_granted event: payload.affected_user_id is required"
        );
        assert_eq!(
            planned_without_columns(IT, json!({"affected_user_id": BO})),
            "invalid document_permission_granted event: resource_id or payload.resource_id is required"
        );
        assert_eq!(
            planned_without_columns(
                IT,
                json!({
                    "affected_user_id": BO,
                    "project_id": ATLAS,
                    "resource_id": 7,
                })
            ),
            "invalid document_permission_granted event: payload.resource_id must be a UUID"
        );
    }
}
