//! What the events of access to a project or a document have in common.

use serde_json::Map;

use super::draft::Style;
use super::prelude::*;

payload! {
    /// A person's access, and who granted, changed or removed it.
    pub(super) struct Access {
        affected_user_id: Uuid,
        actor: Entity = |fields| Ok(Entity::actor(fields, &["actor_name"])),
        project: Entity,
        old_permission: Option<String>,
        new_permission: Option<String>,
    }
}

impl Access {
    /// Whether it allows more than before: to edit what could only be viewed.
    pub(super) fn is_view_to_edit(&self) -> bool {
        self.old_permission.as_deref() == Some("view")
            && self.new_permission.as_deref() == Some("edit")
    }

    pub(super) fn granted(&self) -> &str {
        self.new_permission.as_deref().unwrap_or("view")
    }

    /// The actor, unless it is the person affected: service accounts use that person's
    /// identifier.
    fn someone_else<'a>(&'a self, names: &'a Names) -> Option<&'a str> {
        let [actor] = names.of([&self.actor]);
        (actor.id != Some(self.affected_user_id)).then_some(actor.label)
    }

    /// "Ada gave you view access to Atlas".
    pub(super) fn gave(&self, names: &Names, style: Style, what: &str) -> String {
        let permission = style.name(self.granted());
        match self.someone_else(names) {
            Some(who) => format!("{} gave you {permission} access to {what}", style.name(who)),
            None => format!("You were given {permission} access to {what}"),
        }
    }

    /// "Ada changed your access to Atlas from view to edit".
    pub(super) fn changed(&self, names: &Names, style: Style, what: &str) -> String {
        let [old, new] = [&self.old_permission, &self.new_permission]
            .map(|permission| permission.as_ref().map(|name| style.name(name)));
        let how = match (old, new) {
            (Some(old), Some(new)) => format!(" from {old} to {new}"),
            (None, Some(new)) => format!(" to {new}"),
            (_, None) => String::new(),
        };
        match self.someone_else(names) {
            Some(who) => format!("{} changed your access to {what}{how}", style.name(who)),
            None => format!("Your access to {what} was changed{how}"),
        }
    }

    /// "Ada removed your access to Atlas".
    pub(super) fn removed(&self, names: &Names, style: Style, what: &str) -> String {
        match self.someone_else(names) {
            Some(who) => format!("{} removed your access to {what}", style.name(who)),
            None => format!("Your access to {what} was removed"),
        }
    }

    /// What its notifications carry.
    pub(super) fn data(&self, names: &Names, kind: &str) -> Map<String, Value> {
        let [actor, project] = names.of([&self.actor, &self.project]);
        object! {
            "type": kind,
            "project_id": project.id,
            "project_name": project.name,
            "actor_id": actor.id,
            "actor_name": self.someone_else(names),
        }
    }

    /// What notifications of a change carry.
    pub(super) fn change_data(&self, names: &Names, kind: &str) -> Map<String, Value> {
        object! {
            ..self.data(names, kind),
            "old_permission": self.old_permission,
            "new_permission": self.new_permission,
        }
    }

    /// What notifications of a grant carry.
    pub(super) fn grant_data(&self, names: &Names, kind: &str) -> Map<String, Value> {
        object! { ..self.data(names, kind), "new_permission": self.granted() }
    }

    /// Notifies the person affected, in the application only.
    pub(super) fn plan(&self, draft: &Draft) -> Plan {
        draft.plan(Audience::User(self.affected_user_id), self.project.scopes())
    }
}

payload! {
    /// A person's access to a document.
    pub(super) struct DocumentAccess {
        access: Access,
        document: Entity = |fields| {
            let column = fields.row.resource_id;
            let id = fields.column_or_key("resource_id", column, "resource_id")?;
            Ok(Entity::document(fields, Some(id)))
        },
    }
}

impl DocumentAccess {
    /// Notifies the person affected; `sentence` is given where the document is.
    pub(super) fn plan(
        &self,
        names: &Names,
        data: Map<String, Value>,
        sentence: impl Fn(Style, &str) -> String,
    ) -> Vec<Plan> {
        let [document, project] = names.of([&self.document, &self.access.project]);
        let draft = Draft::new(
            names,
            names.links().document(project.id, document.id),
            object! {
                ..data,
                "resource_id": document.id,
                "resource_name": document.label,
            },
            |style| sentence(style, &style.place(document, project)),
        );
        vec![self.access.plan(&draft)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventType;
    use super::super::fixture::{sample, titles};
    use super::json;

    /// Service accounts use the identifier of the person affected.
    #[test]
    fn the_person_affected_is_notified_even_as_the_actor() {
        let types = [
            EventType::ProjectAccessGranted,
            EventType::ProjectAccessChanged,
            EventType::ProjectAccessRevoked,
            EventType::DocumentPermissionGranted,
            EventType::DocumentPermissionChanged,
        ];
        let titles = types.map(|known| {
            let actor = json!({"affected_user_id": sample(known).actor_id});
            titles(known, [actor])
        });
        insta::assert_snapshot!(titles.join("\n"), @"
        You were given view access to Quayside Lofts
        Your access to Quayside Lofts was changed from view to edit
        Your access to Mill Street Refinancing was removed
        You were given view access to Rent roll.xlsx · Quayside Lofts
        Your access to Appraisal report.pdf · Quayside Lofts was changed from view to edit
        ");
    }
}
