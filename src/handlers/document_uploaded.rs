//! A document was uploaded to a project: everyone who can view it hears of it.
//!
//! Optional keys: `fileName` or `resource_name`, `project_name`, `uploader_name` or `actor_name`.

use uuid::Uuid;

use super::draft::{Draft, object};
use super::entity::Entity;
use super::{Handler, Lookups, Names};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::{Audience, EmailTiming, Plan};

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct DocumentUploaded {
    project_id: Option<Uuid>,
    resource_id: Option<Uuid>,
    uploader: Entity,
    document: Entity,
    project: Entity,
}

impl DocumentUploaded {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        let row = fields.row;
        // A document of an organisation may be in no project.
        let place = row.project_id.or(row.resource_id);
        fields.column("project_id or resource_id", place)?;
        Ok(Self {
            project_id: row.project_id,
            resource_id: row.resource_id,
            uploader: Entity::person(fields, row.actor_id, &["uploader_name", "actor_name"]),
            document: Entity::document(fields, row.resource_id),
            project: Entity::project(fields, row.project_id),
        })
    }
}

impl Handler for DocumentUploaded {
    fn lookups(&self, lookups: &mut Lookups) {
        lookups.extend([&self.uploader, &self.document, &self.project]);
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let [who, document, project] = names.of([&self.uploader, &self.document, &self.project]);
        let draft = Draft::new(
            names.body_format(),
            names.links().document(self.project_id, self.resource_id),
            object! {
                "type": "document_uploaded",
                "project_id": project.id,
                "project_name": project.name,
                "resource_id": document.id,
                "resource_name": document.words,
                "file_name": document.words,
                "uploader_id": who.id,
                "uploader_name": who.words,
            },
            |style| {
                let (who, what) = (style.name(who.words), style.name(document.words));
                match self.project_id {
                    Some(_) => format!("{who} uploaded {what} to {}", style.name(project.words)),
                    None => format!("{who} uploaded {what}"),
                }
            },
        );
        vec![Plan {
            audience: Audience::ProjectViewers {
                project_id: self.project_id,
                resource_id: self.resource_id,
            },
            actor_id: who.id,
            scopes: project.scopes(),
            in_app: draft.in_app(),
            email: Some(draft.email(EmailTiming::Aggregated, project)),
            once_key: None,
        }]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{
        ATLAS, BO, HOSTILE, REPORT, planned, planned_row, planned_without_columns,
    };
    use crate::domain::event::EventRow;

    const IT: EventType = EventType::DocumentUploaded;

    #[test]
    fn names_are_looked_up() {
        insta::assert_snapshot!(planned(IT, json!({})), @r#"
        to ProjectViewers { project_id: Some(ATLAS), resource_id: Some(REPORT) } but ADA, project ATLAS
          app each: Ada uploaded report.pdf to Atlas
            **Ada** uploaded **report.pdf** to **Atlas**.
            /project/workspace/ATLAS?resourceId=REPORT
            {file_name: "report.pdf", project_id: "ATLAS", project_name: "Atlas", resource_id: "REPORT", resource_name: "report.pdf", type: "document_uploaded", uploader_id: "ADA", uploader_name: "Ada"}
          mail Aggregated: Ada uploaded report.pdf to Atlas (ATLAS Atlas)
            {link_url: "/project/workspace/ATLAS?resourceId=REPORT"}
        "#);
    }

    #[test]
    fn names_in_the_payload_come_first() {
        insta::assert_snapshot!(planned(IT, json!({
            "fileName": "plan.xlsx",
            "resource_name": "other",
            "uploader_name": "Ada L.",
            "project_name": "Atlas II",
        })), @r#"
        to ProjectViewers { project_id: Some(ATLAS), resource_id: Some(REPORT) } but ADA, project ATLAS
          app each: Ada L. uploaded plan.xlsx to Atlas II
            **Ada L.** uploaded **plan.xlsx** to **Atlas II**.
            /project/workspace/ATLAS?resourceId=REPORT
            {file_name: "plan.xlsx", project_id: "ATLAS", project_name: "Atlas II", resource_id: "REPORT", resource_name: "plan.xlsx", type: "document_uploaded", uploader_id: "ADA", uploader_name: "Ada L."}
          mail Aggregated: Ada L. uploaded plan.xlsx to Atlas II (ATLAS Atlas II)
            {link_url: "/project/workspace/ATLAS?resourceId=REPORT"}
        "#);
    }

    #[test]
    fn what_is_mistyped_is_looked_up() {
        let mistyped = json!({"fileName": 7, "resource_name": " ", "project_name": {}});
        insta::assert_snapshot!(planned(IT, mistyped), @r#"
        to ProjectViewers { project_id: Some(ATLAS), resource_id: Some(REPORT) } but ADA, project ATLAS
          app each: Ada uploaded report.pdf to Atlas
            **Ada** uploaded **report.pdf** to **Atlas**.
            /project/workspace/ATLAS?resourceId=REPORT
            {file_name: "report.pdf", project_id: "ATLAS", project_name: "Atlas", resource_id: "REPORT", resource_name: "report.pdf", type: "document_uploaded", uploader_id: "ADA", uploader_name: "Ada"}
          mail Aggregated: Ada uploaded report.pdf to Atlas (ATLAS Atlas)
            {link_url: "/project/workspace/ATLAS?resourceId=REPORT"}
        "#);
    }

    #[test]
    fn hostile_and_long_names() {
        let hostile = json!({"fileName": HOSTILE, "project_name": "long ".repeat(99)});
        insta::assert_snapshot!(planned(IT, hostile), @r#"
        to ProjectViewers { project_id: Some(ATLAS), resource_id: Some(REPORT) } but ADA, project ATLAS
          app each: Ada uploaded [Win](https://evil.example) <img src=x>… to long long long long long long long long…
            **Ada** uploaded **[Win](https://evil.example) <img src=x> @all now `` # !** to **long long long long long long long long long long long long long long long long long long long long long long long long…**.
            /project/workspace/ATLAS?resourceId=REPORT
            {file_name: "HOSTILE", project_id: "ATLAS", project_name: "long long long long long long long long long long long long long long long long long long long long long long long long long long long lon…, resource_id: "REPORT", resource_name: "HOSTILE", type: "document_uploaded", uploader_id: "ADA", uploader_name: "Ada"}
          mail Aggregated: Ada uploaded [Win](https://evil.example) <img src=x>… to long long long long long long long long… (ATLAS long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long )
            {link_url: "/project/workspace/ATLAS?resourceId=REPORT"}
        "#);
    }

    #[test]
    fn a_document_may_be_in_no_project() {
        let row = EventRow {
            resource_id: Some(REPORT),
            ..EventRow::default()
        };
        insta::assert_snapshot!(planned_row(IT, row, json!(null)), @r#"
        to ProjectViewers { project_id: None, resource_id: Some(REPORT) }
          app each: Someone uploaded report.pdf
            **Someone** uploaded **report.pdf**.
            /dashboard
            {file_name: "report.pdf", project_id: null, project_name: null, resource_id: "REPORT", resource_name: "report.pdf", type: "document_uploaded", uploader_id: null, uploader_name: "Someone"}
          mail Aggregated: Someone uploaded report.pdf ( )
            {link_url: "/dashboard"}
        "#);
    }

    #[test]
    fn nothing_is_known() {
        let row = EventRow {
            project_id: Some(BO),
            ..EventRow::default()
        };
        insta::assert_snapshot!(planned_row(IT, row, json!(null)), @r#"
        to ProjectViewers { project_id: Some(BO), resource_id: None }, project BO
          app each: Someone uploaded a document to a project
            **Someone** uploaded **a document** to **a project**.
            /project/workspace/BO
            {file_name: "a document", project_id: "BO", project_name: null, resource_id: null, resource_name: "a document", type: "document_uploaded", uploader_id: null, uploader_name: "Someone"}
          mail Aggregated: Someone uploaded a document to a project (BO )
            {link_url: "/project/workspace/BO"}
        "#);
    }

    #[test]
    fn the_payload_is_no_substitute_for_the_column() {
        assert_eq!(
            planned_without_columns(IT, json!({"project_id": ATLAS})),
            "invalid document_uploaded event: project_id or resource_id is required"
        );
    }
}
