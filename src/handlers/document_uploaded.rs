//! A document was uploaded: everyone who may view it is notified.

use serde_json::json;

use super::draft::{Draft, object};
use super::entity::Entity;
use super::payload::payload;
use super::sample::{self, ADA, APPRAISAL, CHIARA, Column, QUAYSIDE, RENT_ROLL};
use super::{Event, MailTemplates, Names};
use crate::domain::event::EventRow;
use crate::domain::plan::{Audience, EmailTiming, Plan};

payload! {
    pub(super) struct DocumentUploaded {
        project: Entity = |fields| {
            // A document of an organisation may be in no project.
            let place = fields.row.project_id.or(fields.row.resource_id);
            fields.column("project_id or resource_id", place)?;
            Ok(Entity::project(fields, fields.row.project_id))
        },
        document: Entity = |fields| Ok(Entity::document(fields, fields.row.resource_id)),
        uploader: Entity = |fields| Ok(Entity::actor(fields, &["uploader_name", "actor_name"])),
    }
}

impl Event for DocumentUploaded {
    const MAIL: Option<MailTemplates> = Some(templates!(
        "document_uploaded",
        "uploader_name",
        "resource_name"
    ));

    fn samples() -> Vec<EventRow> {
        vec![
            // Ada is the actor, Elif may not view it, Dev has muted the app, Farid the e-mails.
            sample::event(
                [
                    Column::Actor(ADA),
                    Column::Project(QUAYSIDE),
                    Column::Document(APPRAISAL),
                ],
                json!({"fileName": "Appraisal report (final).pdf"}),
            ),
            // The name is looked up, and Elif may view this one.
            sample::event(
                [
                    Column::Actor(CHIARA),
                    Column::Project(QUAYSIDE),
                    Column::Document(RENT_ROLL),
                ],
                json!({}),
            ),
        ]
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let [who, document, project] = names.of([&self.uploader, &self.document, &self.project]);
        let draft = Draft::new(
            names,
            names.links().document(project.id, document.id),
            object! {
                "type": "document_uploaded",
                "project_id": project.id,
                "project_name": project.name,
                "resource_id": document.id,
                "resource_name": document.label,
                "file_name": document.label,
                "uploader_id": who.id,
                "uploader_name": who.label,
            },
            |style| {
                let (who, what) = (style.name(who.label), style.name(document.label));
                match project.id {
                    Some(_) => format!("{who} uploaded {what} to {}", style.name(project.label)),
                    None => format!("{who} uploaded {what}"),
                }
            },
        );
        let audience = Audience::ProjectViewers {
            project_id: project.id,
            resource_id: document.id,
        };
        vec![Plan {
            actor_id: who.id,
            in_app: draft.in_app(),
            email: Some(draft.email(EmailTiming::Aggregated, project)),
            ..Plan::new(audience, self.project.scopes())
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventType::DocumentUploaded as IT;
    use super::super::fixture::{mail, planned, planned_with, sample};
    use crate::domain::event::EventRow;

    #[test]
    fn message() {
        insta::assert_snapshot!(planned(IT, &sample(IT)), @r#"
        to ProjectViewers { project_id: Some(QUAYSIDE), resource_id: Some(APPRAISAL) } but ADA, project QUAYSIDE, in app, e-mail Aggregated
          Ada Okafor uploaded Appraisal report (final).pdf to Quayside Lofts
          **Ada Okafor** uploaded **Appraisal report (final).pdf** to **Quayside Lofts**.
          /project/workspace/QUAYSIDE?resourceId=APPRAISAL
          {file_name: "Appraisal report (final).pdf", project_id: "QUAYSIDE", project_name: "Quayside Lofts", resource_id: "APPRAISAL", resource_name: "Appraisal report (final).pdf", type: "document_uploaded", uploader_id: "ADA", uploader_name: "Ada Okafor"}
          e-mail, Quayside Lofts: Ada Okafor uploaded Appraisal report (final).pdf to Quayside Lofts
          {link_url: "/project/workspace/QUAYSIDE?resourceId=APPRAISAL"}
        "#);
        insta::assert_snapshot!(mail(IT), @"
        New document

        Ada Okafor uploaded Appraisal report (final).pdf to Quayside Lofts.

        Open the document:
        https://app.example.com/project/workspace/5eed5eed-fa11-4003-8000-000000000001?resourceId=5eed5eed-fa11-4004-8000-000000000001

        ---
        You get this because you can see this document on app.example.com.
        ");
    }

    #[test]
    fn names_that_the_payload_lacks_are_looked_up() {
        let mistyped = serde_json::json!({"fileName": 7, "resource_name": " "});
        insta::assert_snapshot!(planned_with(IT, mistyped), @r#"
        to ProjectViewers { project_id: Some(QUAYSIDE), resource_id: Some(APPRAISAL) } but ADA, project QUAYSIDE, in app, e-mail Aggregated
          Ada Okafor uploaded Appraisal report.pdf to Quayside Lofts
          **Ada Okafor** uploaded **Appraisal report.pdf** to **Quayside Lofts**.
          /project/workspace/QUAYSIDE?resourceId=APPRAISAL
          {file_name: "Appraisal report.pdf", project_id: "QUAYSIDE", project_name: "Quayside Lofts", resource_id: "APPRAISAL", resource_name: "Appraisal report.pdf", type: "document_uploaded", uploader_id: "ADA", uploader_name: "Ada Okafor"}
          e-mail, Quayside Lofts: Ada Okafor uploaded Appraisal report.pdf to Quayside Lofts
          {link_url: "/project/workspace/QUAYSIDE?resourceId=APPRAISAL"}
        "#);
    }

    #[test]
    fn a_document_may_be_in_no_project() {
        let row = EventRow {
            project_id: None,
            actor_id: None,
            ..sample(IT)
        };
        insta::assert_snapshot!(planned(IT, &row), @r#"
        to ProjectViewers { project_id: None, resource_id: Some(APPRAISAL) }, in app, e-mail Aggregated
          Someone uploaded Appraisal report (final).pdf
          **Someone** uploaded **Appraisal report (final).pdf**.
          /dashboard
          {file_name: "Appraisal report (final).pdf", project_id: null, project_name: null, resource_id: "APPRAISAL", resource_name: "Appraisal report (final).pdf", type: "document_uploaded", uploader_id: null, uploader_name: "Someone"}
          e-mail, no project: Someone uploaded Appraisal report (final).pdf
          {link_url: "/dashboard"}
        "#);
    }
}
