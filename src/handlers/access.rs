//! What the events of access to a project or a document have in common.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::draft::{Draft, Style, object};
use super::entity::{Entity, NamedEntity};
use super::{Lookups, Names};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::{Audience, Plan};

/// Somebody's access, and who gave, changed or took it.
///
/// Optional keys: `actor_name`, `project_name`, `old_permission`, `new_permission`.
#[derive(Debug)]
pub(super) struct Access {
    affected_user_id: Uuid,
    actor: Entity,
    project: Entity,
    old_permission: Option<String>,
    new_permission: Option<String>,
}

impl Access {
    /// Reads access to a project that has to be named by its column or the payload.
    pub(super) fn to_project(fields: Fields<'_>) -> Result<(Uuid, Self), InvalidEvent> {
        let id = fields.column_or_key("project_id", fields.row.project_id, "project_id")?;
        Ok((id, Self::decode(fields)?))
    }

    /// Reads access to a project that may not be named.
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        let permission = |key| fields.text(key).map(str::to_owned);
        Ok(Self {
            affected_user_id: fields.required_uuid("affected_user_id")?,
            actor: Entity::person(fields, fields.row.actor_id, &["actor_name"]),
            project: Entity::any_project(fields),
            old_permission: permission("old_permission"),
            new_permission: permission("new_permission"),
        })
    }

    pub(super) fn lookups(&self, lookups: &mut Lookups) {
        lookups.extend([&self.actor, &self.project]);
    }

    /// Who acted, and the project.
    pub(super) fn named<'a>(&'a self, names: &'a Names) -> [NamedEntity<'a>; 2] {
        names.of([&self.actor, &self.project])
    }

    /// Whether it went from seeing to changing.
    pub(super) fn is_view_to_edit(&self) -> bool {
        self.old_permission.as_deref() == Some("view")
            && self.new_permission.as_deref() == Some("edit")
    }

    /// What was granted.
    pub(super) fn granted(&self) -> &str {
        self.new_permission.as_deref().unwrap_or("view")
    }

    /// Who acted, unless it was the person affected: service accounts act under that person's
    /// identifier.
    fn someone_else<'a>(&self, who: NamedEntity<'a>) -> Option<&'a str> {
        (who.id != Some(self.affected_user_id)).then_some(who.words)
    }

    /// "Ada gave you view access to Atlas".
    pub(super) fn gave(&self, style: Style, who: NamedEntity<'_>, what: &str) -> String {
        let permission = style.name(self.granted());
        match self.someone_else(who) {
            Some(who) => format!("{} gave you {permission} access to {what}", style.name(who)),
            None => format!("You were given {permission} access to {what}"),
        }
    }

    /// "Ada changed your access to Atlas from view to edit".
    pub(super) fn changed(&self, style: Style, who: NamedEntity<'_>, what: &str) -> String {
        let permission = |name: &Option<String>| name.as_deref().map(|name| style.name(name));
        let how = match (
            permission(&self.old_permission),
            permission(&self.new_permission),
        ) {
            (Some(old), Some(new)) => format!(" from {old} to {new}"),
            (None, Some(new)) => format!(" to {new}"),
            (_, None) => String::new(),
        };
        match self.someone_else(who) {
            Some(who) => format!("{} changed your access to {what}{how}", style.name(who)),
            None => format!("Your access to {what} was changed{how}"),
        }
    }

    /// "Ada removed your access to Atlas".
    pub(super) fn removed(&self, style: Style, who: NamedEntity<'_>, what: &str) -> String {
        match self.someone_else(who) {
            Some(who) => format!("{} removed your access to {what}", style.name(who)),
            None => format!("Your access to {what} was removed"),
        }
    }

    /// What its notifications carry.
    pub(super) fn data(&self, kind: &str, names: &Names) -> Map<String, Value> {
        let [who, project] = self.named(names);
        object! {
            "type": kind,
            "project_id": project.id,
            "project_name": project.name,
            "actor_id": who.id,
            "actor_name": self.someone_else(who),
        }
    }

    /// What notifications of a change carry.
    pub(super) fn change_data(&self, kind: &str, names: &Names) -> Map<String, Value> {
        object! {
            ..self.data(kind, names),
            "old_permission": self.old_permission,
            "new_permission": self.new_permission,
        }
    }

    /// What notifications of a grant carry.
    pub(super) fn grant_data(&self, kind: &str, names: &Names) -> Map<String, Value> {
        object! { ..self.data(kind, names), "new_permission": self.granted() }
    }

    /// Notifies the person affected, in the application only.
    pub(super) fn plan(&self, draft: &Draft, names: &Names) -> Plan {
        let [_, project] = self.named(names);
        Plan {
            audience: Audience::User(self.affected_user_id),
            actor_id: None,
            scopes: project.scopes(),
            in_app: draft.in_app(),
            email: None,
            once_key: None,
        }
    }
}

/// Somebody's access to a document.
///
/// Optional keys: `resource_name` or `fileName`, and those of [`Access`].
#[derive(Debug)]
pub(super) struct DocumentAccess {
    pub(super) access: Access,
    resource_id: Uuid,
    document: Entity,
}

impl DocumentAccess {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        let access = Access::decode(fields)?;
        let column = fields.row.resource_id;
        let resource_id = fields.column_or_key("resource_id", column, "resource_id")?;
        Ok(Self {
            access,
            resource_id,
            document: Entity::document(fields, Some(resource_id)),
        })
    }

    pub(super) fn lookups(&self, lookups: &mut Lookups) {
        self.access.lookups(lookups);
        lookups.extend([&self.document]);
    }

    /// Tells the person affected; `sentence` is given where the document is.
    pub(super) fn plan(
        &self,
        data: Map<String, Value>,
        names: &Names,
        sentence: impl Fn(Style, &str) -> String,
    ) -> Vec<Plan> {
        let [document, project] = names.of([&self.document, &self.access.project]);
        let draft = Draft::new(
            names.body_format(),
            names.links().document(project.id, Some(self.resource_id)),
            object! {
                ..data,
                "resource_id": document.id,
                "resource_name": document.words,
            },
            |style| sentence(style, &style.place(document, project)),
        );
        vec![self.access.plan(&draft, names)]
    }
}
