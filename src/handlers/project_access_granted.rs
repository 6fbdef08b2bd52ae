//! Somebody was given access to a project and hears of it.
//!
//! Optional keys: those of [`Access`]; without `new_permission` it is to view.

use uuid::Uuid;

use super::access::Access;
use super::draft::Draft;
use super::{Handler, Lookups, Names};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::{EmailTiming, Plan};

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct ProjectAccessGranted {
    project_id: Uuid,
    access: Access,
}

impl ProjectAccessGranted {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        let (project_id, access) = Access::to_project(fields)?;
        Ok(Self { project_id, access })
    }
}

impl Handler for ProjectAccessGranted {
    fn lookups(&self, lookups: &mut Lookups) {
        self.access.lookups(lookups);
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let [who, project] = self.access.named(names);
        let draft = Draft::new(
            names.body_format(),
            names.links().project(self.project_id),
            self.access.grant_data("project_access_granted", names),
            |style| self.access.gave(style, who, &style.name(project.words)),
        );
        vec![Plan {
            email: Some(draft.email(EmailTiming::Immediate, project)),
            ..self.access.plan(&draft, names)
        }]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{ADA, ATLAS, BO, HOSTILE, planned, planned_without_columns};

    const IT: EventType = EventType::ProjectAccessGranted;

    #[test]
    fn to_view_unless_it_says_otherwise() {
        insta::assert_snapshot!(planned(IT, json!({"affected_user_id": BO})), @r#"
        to User(BO), project ATLAS
          app each: Ada gave you view access to Atlas
            **Ada** gave you **view** access to **Atlas**.
            /project/workspace/ATLAS
            {actor_id: "ADA", actor_name: "Ada", new_permission: "view", project_id: "ATLAS", project_name: "Atlas", type: "project_access_granted"}
          mail Immediate: Ada gave you view access to Atlas (ATLAS Atlas)
            {link_url: "/project/workspace/ATLAS"}
        "#);
        insta::assert_snapshot!(planned(IT, json!({
            "affected_user_id": BO,
            "new_permission": "edit",
            "project_name": HOSTILE,
            "actor_name": "A. L.",
        })), @r#"
        to User(BO), project ATLAS
          app each: A. L. gave you edit access to [Win](https://evil.example) <img src=x> @all **now** `` # !
            **A. L.** gave you **edit** access to **[Win](https://evil.example) <img src=x> @all now `` # !**.
            /project/workspace/ATLAS
            {actor_id: "ADA", actor_name: "A. L.", new_permission: "edit", project_id: "ATLAS", project_name: "HOSTILE", type: "project_access_granted"}
          mail Immediate: A. L. gave you edit access to [Win](https://evil.example) <img src=x> @all **now** `` # ! (ATLAS HOSTILE)
            {link_url: "/project/workspace/ATLAS"}
        "#);
    }

    #[test]
    fn the_project_may_stand_in_the_payload() {
        insta::assert_snapshot!(planned_without_columns(IT, json!({
            "affected_user_id": BO,
            "project_id": ATLAS,
            "new_permission": 7,
        })), @r#"
        to User(BO), project ATLAS
          app each: Someone gave you view access to Atlas
            **Someone** gave you **view** access to **Atlas**.
            /project/workspace/ATLAS
            {actor_id: null, actor_name: "Someone", new_permission: "view", project_id: "ATLAS", project_name: "Atlas", type: "project_access_granted"}
          mail Immediate: Someone gave you view access to Atlas (ATLAS Atlas)
            {link_url: "/project/workspace/ATLAS"}
        "#);
    }

    #[test]
    fn the_actor_may_be_the_person_affected() {
        insta::assert_snapshot!(planned(IT, json!({"affected_user_id": ADA})), @r#"
        to User(ADA), project ATLAS
          app each: You were given view access to Atlas
            You were given **view** access to **Atlas**.
            /project/workspace/ATLAS
            {actor_id: "ADA", actor_name: null, new_permission: "view", project_id: "ATLAS", project_name: "Atlas", type: "project_access_granted"}
          mail Immediate: You were given view access to Atlas (ATLAS Atlas)
            {link_url: "/project/workspace/ATLAS"}
        "#);
    }

    #[test]
    fn required_keys() {
        assert_eq!(
            planned(IT, json!({})),
            "invalid project_access_granted event: payload.affected_user_id is required"
        );
        assert_eq!(
            planned(IT, json!({"affected_user_id": 7})),
            "invalid project_access_granted event: payload.affected_user_id must be a UUID"
        );
        assert_eq!(
            planned_without_columns(IT, json!({})),
            "invalid project_access_granted event: project_id or payload.project_id is required"
        );
        assert_eq!(
            planned_without_columns(IT, json!({"project_id": "atlas"})),
            "invalid project_access_granted event: payload.project_id must be a UUID"
        );
    }
}
