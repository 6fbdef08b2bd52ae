//! A person's access to a project was removed: they are notified. Only their global preferences count,
//! since the project is no longer theirs.

use serde_json::json;

use super::access::Access;
use super::draft::Draft;
use super::payload::payload;
use super::sample::{self, BRUNO, Column, HUGO, MILL_STREET};
use super::{Event, Names};
use crate::domain::event::EventRow;
use crate::domain::plan::{Plan, PreferenceScopes};

payload! {
    pub(super) struct ProjectAccessRevoked {
        access: Access,
    }
}

impl Event for ProjectAccessRevoked {
    fn samples() -> Vec<EventRow> {
        // Hugo has muted this project.
        vec![sample::event(
            [Column::Actor(BRUNO), Column::Project(MILL_STREET)],
            json!({"affected_user_id": HUGO}),
        )]
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let access = &self.access;
        let [project] = names.of([&access.project]);
        let data = access.data(names, "project_access_revoked");
        let draft = Draft::new(names, names.links().dashboard(), data, |style| {
            access.removed(names, style, &style.name(project.label))
        });
        vec![Plan {
            scopes: PreferenceScopes::default(),
            ..access.plan(&draft)
        }]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType::ProjectAccessRevoked as IT;
    use super::super::fixture::planned_with;

    #[test]
    fn message() {
        insta::assert_snapshot!(planned_with(IT, json!({})), @r#"
        to User(HUGO), in app
          Bruno Keller removed your access to Mill Street Refinancing
          **Bruno Keller** removed your access to **Mill Street Refinancing**.
          /dashboard
          {actor_id: "BRUNO", actor_name: "Bruno Keller", project_id: "MILL_STREET", project_name: "Mill Street Refinancing", type: "project_access_revoked"}
        "#);
    }
}
