//! A person was given access to a document: they are notified.

use super::access::DocumentAccess;
use super::prelude::*;
use super::sample::{BRUNO, ELIF, QUAYSIDE, RENT_ROLL};

payload! {
    pub(super) struct DocumentPermissionGranted {
        document: DocumentAccess,
    }
}

impl Event for DocumentPermissionGranted {
    fn samples() -> Vec<EventRow> {
        let payload = json!({"affected_user_id": ELIF, "new_permission": "view"});
        vec![sample::event([BRUNO, QUAYSIDE, RENT_ROLL], payload)]
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let access = &self.document.access;
        let data = access.grant_data(names, "document_permission_granted");
        self.document
            .plan(names, data, |style, place| access.gave(names, style, place))
    }
}
