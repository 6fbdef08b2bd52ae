//! Somebody's access to a project was taken away: he hears of it, and only his global preferences
//! count, since the project is none of his any more.
//!
//! Optional keys: `project_id` (else the column), and those of [`Access`].

use super::access::Access;
use super::draft::Draft;
use super::{Handler, Lookups, Names};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::{Plan, PreferenceScopes};

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct ProjectAccessRevoked(Access);

impl ProjectAccessRevoked {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        Access::decode(fields).map(Self)
    }
}

impl Handler for ProjectAccessRevoked {
    fn lookups(&self, lookups: &mut Lookups) {
        self.0.lookups(lookups);
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let [who, project] = self.0.named(names);
        let data = self.0.data("project_access_revoked", names);
        let link_url = names.links().dashboard();
        let draft = Draft::new(names.body_format(), link_url, data, |style| {
            self.0.removed(style, who, &style.name(project.words))
        });
        vec![Plan {
            scopes: PreferenceScopes::default(),
            ..self.0.plan(&draft, names)
        }]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{ADA, BO, HOSTILE, planned, planned_without_columns};

    const IT: EventType = EventType::ProjectAccessRevoked;

    #[test]
    fn only_global_preferences_count() {
        insta::assert_snapshot!(planned(IT, json!({"affected_user_id": BO})), @r#"
        to User(BO)
          app each: Ada removed your access to Atlas
            **Ada** removed your access to **Atlas**.
            /dashboard
            {actor_id: "ADA", actor_name: "Ada", project_id: "ATLAS", project_name: "Atlas", type: "project_access_revoked"}
        "#);
    }

    #[test]
    fn the_project_may_be_unknown() {
        insta::assert_snapshot!(planned_without_columns(IT, json!({"affected_user_id": BO})), @r#"
        to User(BO)
          app each: Someone removed your access to a project
            **Someone** removed your access to **a project**.
            /dashboard
            {actor_id: null, actor_name: "Someone", project_id: null, project_name: null, type: "project_access_revoked"}
        "#);
        let hostile = json!({"affected_user_id": BO, "project_name": HOSTILE});
        insta::assert_snapshot!(planned(IT, hostile), @r#"
        to User(BO)
          app each: Ada removed your access to [Win](https://evil.example) <img src=x> @all **now** `` # !
            **Ada** removed your access to **[Win](https://evil.example) <img src=x> @all now `` # !**.
            /dashboard
            {actor_id: "ADA", actor_name: "Ada", project_id: "ATLAS", project_name: "HOSTILE", type: "project_access_revoked"}
        "#);
    }

    #[test]
    fn the_actor_may_be_the_person_affected() {
        insta::assert_snapshot!(planned(IT, json!({"affected_user_id": ADA})), @r#"
        to User(ADA)
          app each: Your access to Atlas was removed
            Your access to **Atlas** was removed.
            /dashboard
            {actor_id: "ADA", actor_name: null, project_id: "ATLAS", project_name: "Atlas", type: "project_access_revoked"}
        "#);
    }

    #[test]
    fn required_keys() {
        assert_eq!(
            planned(IT, json!({})),
            "invalid project_access_revoked event: payload.affected_user_id is required"
        );
        assert_eq!(
            planned(IT, json!({"affected_user_id": false})),
            "invalid project_access_revoked event: payload.affected_user_id must be a UUID"
        );
    }
}
