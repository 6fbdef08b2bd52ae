//! Somebody's access to a project was changed: he hears of it, by mail only if he may do more.
//!
//! Optional keys: those of [`Access`].

use uuid::Uuid;

use super::access::Access;
use super::draft::Draft;
use super::{Handler, Lookups, Names};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::{EmailTiming, Plan};

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct ProjectAccessChanged {
    project_id: Uuid,
    access: Access,
}

impl ProjectAccessChanged {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        let (project_id, access) = Access::to_project(fields)?;
        Ok(Self { project_id, access })
    }
}

impl Handler for ProjectAccessChanged {
    fn lookups(&self, lookups: &mut Lookups) {
        self.access.lookups(lookups);
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let [who, project] = self.access.named(names);
        let draft = Draft::new(
            names.body_format(),
            names.links().project(self.project_id),
            self.access.change_data("project_access_changed", names),
            |style| self.access.changed(style, who, &style.name(project.words)),
        );
        let mail = || draft.email(EmailTiming::Immediate, project);
        vec![Plan {
            email: self.access.is_view_to_edit().then(mail),
            ..self.access.plan(&draft, names)
        }]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{ADA, BO, HOSTILE, planned, planned_without_columns};

    const IT: EventType = EventType::ProjectAccessChanged;

    #[test]
    fn more_is_mailed() {
        insta::assert_snapshot!(planned(IT, json!({
            "affected_user_id": BO,
            "old_permission": "view",
            "new_permission": "edit",
        })), @r#"
        to User(BO), project ATLAS
          app each: Ada changed your access to Atlas from view to edit
            **Ada** changed your access to **Atlas** from **view** to **edit**.
            /project/workspace/ATLAS
            {actor_id: "ADA", actor_name: "Ada", new_permission: "edit", old_permission: "view", project_id: "ATLAS", project_name: "Atlas", type: "project_access_changed"}
          mail Immediate: Ada changed your access to Atlas from view to edit (ATLAS Atlas)
            {link_url: "/project/workspace/ATLAS"}
        "#);
    }

    #[test]
    fn less_is_not() {
        insta::assert_snapshot!(planned(IT, json!({
            "affected_user_id": BO,
            "old_permission": "edit",
            "new_permission": "view",
        })), @r#"
        to User(BO), project ATLAS
          app each: Ada changed your access to Atlas from edit to view
            **Ada** changed your access to **Atlas** from **edit** to **view**.
            /project/workspace/ATLAS
            {actor_id: "ADA", actor_name: "Ada", new_permission: "view", old_permission: "edit", project_id: "ATLAS", project_name: "Atlas", type: "project_access_changed"}
        "#);
    }

    #[test]
    fn without_permissions() {
        insta::assert_snapshot!(planned(IT, json!({
            "affected_user_id": BO,
            "old_permission": 7,
            "new_permission": HOSTILE,
        })), @r#"
        to User(BO), project ATLAS
          app each: Ada changed your access to Atlas to [Win](https://evil.example) <img src=x> @all **now** `` # !
            **Ada** changed your access to **Atlas** to **[Win](https://evil.example) <img src=x> @all now `` # !**.
            /project/workspace/ATLAS
            {actor_id: "ADA", actor_name: "Ada", new_permission: "HOSTILE", old_permission: null, project_id: "ATLAS", project_name: "Atlas", type: "project_access_changed"}
        "#);
        insta::assert_snapshot!(planned(IT, json!({"affected_user_id": BO})), @r#"
        to User(BO), project ATLAS
          app each: Ada changed your access to Atlas
            **Ada** changed your access to **Atlas**.
            /project/workspace/ATLAS
            {actor_id: "ADA", actor_name: "Ada", new_permission: null, old_permission: null, project_id: "ATLAS", project_name: "Atlas", type: "project_access_changed"}
        "#);
    }

    #[test]
    fn the_actor_may_be_the_person_affected() {
        insta::assert_snapshot!(planned(IT, json!({"affected_user_id": ADA, "old_permission": "view", "new_permission": "edit"})), @r#"
        to User(ADA), project ATLAS
          app each: Your access to Atlas was changed from view to edit
            Your access to **Atlas** was changed from **view** to **edit**.
            /project/workspace/ATLAS
            {actor_id: "ADA", actor_name: null, new_permission: "edit", old_permission: "view", project_id: "ATLAS", project_name: "Atlas", type: "project_access_changed"}
          mail Immediate: Your access to Atlas was changed from view to edit (ATLAS Atlas)
            {link_url: "/project/workspace/ATLAS"}
        "#);
    }

    #[test]
    fn required_keys() {
        assert_eq!(
            planned(IT, json!({})),
            "invalid project_access_changed event: payload.affected_user_id is required"
        );
        assert_eq!(
            planned_without_columns(IT, json!({})),
            "invalid project_access_changed event: project_id or payload.project_id is required"
        );
    }
}
