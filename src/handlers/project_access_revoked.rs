//! A person's access to a project was removed: they are notified. Only their global preferences count,
//! since the project is no longer theirs.

use super::access::Access;
use super::prelude::*;
use super::sample::{BRUNO, HUGO, MILL_STREET};
use crate::domain::plan::PreferenceScopes;

payload! {
    pub(super) struct ProjectAccessRevoked {
        access: Access,
    }
}

impl Event for ProjectAccessRevoked {
    fn samples() -> Vec<EventRow> {
        // Hugo has muted this project.
        let payload = json!({"affected_user_id": HUGO});
        vec![sample::event([BRUNO, MILL_STREET], payload)]
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let access = &self.access;
        let [project] = names.of([&access.project]);
        let data = access.data(names, "project_access_revoked");
        let draft = Draft::new(names, names.links().dashboard.clone(), data, |style| {
            access.removed(names, style, &style.name(project.label))
        });
        vec![Plan {
            scopes: PreferenceScopes::default(),
            ..access.plan(&draft)
        }]
    }
}
