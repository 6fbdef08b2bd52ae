//! A person was given access to a document: they are notified.

use serde_json::json;

use super::access::DocumentAccess;
use super::payload::payload;
use super::sample::{self, BRUNO, Column, ELIF, QUAYSIDE, RENT_ROLL};
use super::{Event, Names};
use crate::domain::event::EventRow;
use crate::domain::plan::Plan;

payload! {
    pub(super) struct DocumentPermissionGranted {
        document: DocumentAccess,
    }
}

impl Event for DocumentPermissionGranted {
    fn samples() -> Vec<EventRow> {
        vec![sample::event(
            [
                Column::Actor(BRUNO),
                Column::Project(QUAYSIDE),
                Column::Document(RENT_ROLL),
            ],
            json!({"affected_user_id": ELIF, "new_permission": "view"}),
        )]
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let access = &self.document.access;
        let data = access.grant_data(names, "document_permission_granted");
        self.document
            .plan(names, data, |style, place| access.gave(names, style, place))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType::DocumentPermissionGranted as IT;
    use super::super::fixture::planned_with;

    #[test]
    fn message() {
        insta::assert_snapshot!(planned_with(IT, json!({})), @r#"
        to User(ELIF), project QUAYSIDE, in app
          Bruno Keller gave you view access to Rent roll.xlsx · Quayside Lofts
          **Bruno Keller** gave you **view** access to **Rent roll.xlsx** · **Quayside Lofts**.
          /project/workspace/QUAYSIDE?resourceId=RENT_ROLL
          {actor_id: "BRUNO", actor_name: "Bruno Keller", new_permission: "view", project_id: "QUAYSIDE", project_name: "Quayside Lofts", resource_id: "RENT_ROLL", resource_name: "Rent roll.xlsx", type: "document_permission_granted"}
        "#);
    }
}
