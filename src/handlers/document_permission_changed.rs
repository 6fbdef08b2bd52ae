//! A person's access to a document was changed: they are notified if they may edit what they could
//! only view. Any other change completes without effect.

use super::access::DocumentAccess;
use super::prelude::*;
use super::sample::{APPRAISAL, BRUNO, DEV, QUAYSIDE};

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
        vec![sample::event([BRUNO, QUAYSIDE, APPRAISAL], payload)]
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
    use super::super::EventType::DocumentPermissionChanged as IT;
    use super::super::fixture::planned_with;
    use super::json;

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
