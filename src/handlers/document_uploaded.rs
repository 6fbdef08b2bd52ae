//! A document was uploaded: everyone who may view it is notified.

use super::prelude::*;
use super::sample::{ADA, APPRAISAL, CHIARA, QUAYSIDE, RENT_ROLL};

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
        // Ada is the actor, Elif may not view it, Dev has muted the app, Farid the e-mails.
        let named = json!({"fileName": "Appraisal report (final).pdf"});
        vec![
            sample::event([ADA, QUAYSIDE, APPRAISAL], named),
            // The name is looked up, and Elif may view this one.
            sample::event([CHIARA, QUAYSIDE, RENT_ROLL], json!({})),
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
            email: Some(draft.email(EmailTiming::Aggregated, project)),
            ..draft.plan(audience, self.project.scopes())
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventType::DocumentUploaded as IT;
    use super::super::fixture::{planned, sample};
    use super::EventRow;

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
