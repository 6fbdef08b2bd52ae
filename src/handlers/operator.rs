//! What the events of operations and billing have in common: each is told to endpoints, to the
//! person whom it names and to the owners of its organisation, all in the same words.
//!
//! Optional keys: `org_id` or `tenant_id` (else the column; what is no UUID names no
//! organisation), `org_name` or `tenant_name`, `project_id` (else the column), `project_name`.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::channel_choice::ChannelChoice;
use super::draft::{Draft, object};
use super::entity::{Entity, NamedEntity};
use super::operator_message::OperatorMessage;
use super::{Handler, Lookups, Names};
use crate::domain::announcement::{Announcement, DedupKey, Field, Message};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::{Audience, EmailTiming, InApp, Plan};

/// An event of operations or billing.
pub(super) trait OperatorEvent: std::fmt::Debug + Send {
    /// Where it happened, and whom it names.
    fn context(&self) -> &OperatorContext;

    /// What there is to say of it.
    fn message(&self, names: &Names) -> OperatorMessage;
}

/// Where an event of operations or billing happened, and who is to hear of it.
#[derive(Debug)]
pub(super) struct OperatorContext {
    event_type: &'static str,
    actor_id: Option<Uuid>,
    user_id: Option<Uuid>,
    user: Entity,
    tenant: Entity,
    project: Entity,
    channel_choice: ChannelChoice,
    dedup_keys: Vec<DedupKey>,
}

impl OperatorContext {
    /// Reads an event that is nobody's act.
    pub(super) fn decode(fields: Fields<'_>) -> Self {
        let org_id = fields
            .row
            .org_id
            .or_else(|| fields.uuid("org_id"))
            .or_else(|| fields.uuid("tenant_id"));
        Self {
            event_type: fields.event_type(),
            actor_id: None,
            user_id: None,
            user: Entity::person(fields, None, &[]),
            tenant: Entity::tenant(fields, org_id),
            project: Entity::any_project(fields),
            channel_choice: ChannelChoice::default(),
            dedup_keys: Vec::new(),
        }
    }

    /// Reads an event that somebody brought about: he does not hear of it.
    pub(super) fn act(fields: Fields<'_>) -> Self {
        Self {
            actor_id: fields.row.actor_id,
            ..Self::decode(fields)
        }
    }

    /// Reads an event about a person, if it names one in `user_id`.
    pub(super) fn about_person(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        let user_id = fields.strict_uuid("user_id")?;
        Ok(Self {
            user_id,
            user: Entity::person(fields, user_id, &["user_name"]),
            ..Self::decode(fields)
        })
    }

    /// By these channels only.
    pub(super) fn by(self, channel_choice: ChannelChoice) -> Self {
        Self {
            channel_choice,
            ..self
        }
    }

    /// Not again while one of these holds.
    pub(super) fn guarded(self, dedup_keys: Vec<DedupKey>) -> Self {
        Self { dedup_keys, ..self }
    }

    /// Whom it is about.
    pub(super) fn user_id(&self) -> Option<Uuid> {
        self.user_id
    }

    /// The organisation that it happened to.
    pub(super) fn tenant<'a>(&'a self, names: &'a Names) -> NamedEntity<'a> {
        let [tenant] = names.of([&self.tenant]);
        tenant
    }

    fn lookups(&self, lookups: &mut Lookups) {
        lookups.extend([&self.user, &self.tenant, &self.project]);
    }

    fn plans(&self, message: &OperatorMessage, names: &Names) -> Vec<Plan> {
        if !self.channel_choice.in_app && !self.channel_choice.email {
            return Vec::new();
        }
        let person = self.user_id.map(|user_id| {
            // He knows who he is.
            let fields = self.fields(message, names, false);
            self.plan(Audience::User(user_id), message, &fields, names)
        });
        let owners = self.tenant(names).id.map(|org_id| {
            let audience = Audience::OrgOwners {
                org_id,
                except: self.user_id,
            };
            let fields = self.fields(message, names, true);
            self.plan(audience, message, &fields, names)
        });
        person.into_iter().chain(owners).collect()
    }

    fn plan(
        &self,
        audience: Audience,
        message: &OperatorMessage,
        fields: &[Field],
        names: &Names,
    ) -> Plan {
        let [project] = names.of([&self.project]);
        let data = object! {
            ..message.data.clone(),
            "type": self.event_type,
            "severity": message.severity,
        };
        let draft = Draft::planned(
            self.link(names),
            self.with_place(data, names),
            message.title.clone(),
            message.body(fields),
        );
        let mut email = draft.email(EmailTiming::Immediate, project);
        email.body_data = self.body_data(message, fields, names);
        let day = self.dedup_keys.iter().find_map(|guard| match guard {
            DedupKey::Day(key) => Some(key.clone()),
            DedupKey::Content(_) => None,
        });
        Plan {
            audience,
            actor_id: self.actor_id,
            scopes: project.scopes(),
            in_app: if self.channel_choice.in_app {
                draft.in_app()
            } else {
                InApp::None
            },
            email: self.channel_choice.email.then_some(email),
            once_key: day,
        }
    }

    fn announcement(&self, message: OperatorMessage, names: &Names) -> Announcement {
        let [project] = names.of([&self.project]);
        let data = object! { ..message.data.clone(), "user_id": self.user_id };
        Announcement {
            org_id: self.tenant(names).id,
            project_id: project.id,
            channels: self.channel_choice.channels.clone(),
            sms_to: self.user_id.filter(|_| self.channel_choice.text),
            dedup_keys: self.dedup_keys.clone(),
            message: Message {
                fields: self.fields(&message, names, true),
                severity: message.severity,
                link_url: Some(self.link(names)),
                data: self.with_place(data, names),
                title: message.title,
                text: message.text,
            },
        }
    }

    /// Its particulars, and the names of those concerned as far as the title lacks them.
    fn fields(&self, message: &OperatorMessage, names: &Names, with_user: bool) -> Vec<Field> {
        let [user, tenant, project] = names.of([&self.user, &self.tenant, &self.project]);
        let place = [
            ("User", user.name.filter(|_| with_user)),
            ("Organisation", tenant.name),
            ("Project", project.name),
        ];
        let mut fields = message.fields.clone();
        fields.extend(
            place
                .into_iter()
                .filter_map(|(name, value)| OperatorMessage::field(name, value?))
                .filter(|field| !message.title.contains(&field.value)),
        );
        fields
    }

    fn with_place(&self, data: Map<String, Value>, names: &Names) -> Map<String, Value> {
        let [tenant, project] = names.of([&self.tenant, &self.project]);
        object! {
            ..data,
            "org_id": tenant.id,
            "org_name": tenant.name,
            "project_id": project.id,
            "project_name": project.name,
        }
    }

    /// What the mail of all these events is made from.
    fn body_data(
        &self,
        message: &OperatorMessage,
        fields: &[Field],
        names: &Names,
    ) -> Map<String, Value> {
        let text = Some(&message.text).filter(|text| !text.is_empty());
        let data = object! {
            "type": self.event_type,
            "link_url": self.link(names),
            "severity": message.severity,
            "text": text,
            "fields": fields,
        };
        let dedup_keys: Vec<_> = self.dedup_keys.iter().map(DedupKey::key).collect();
        let data = if dedup_keys.is_empty() {
            data
        } else {
            object! { ..data, "guards": dedup_keys }
        };
        self.with_place(data, names)
    }

    fn link(&self, names: &Names) -> String {
        let [project] = names.of([&self.project]);
        names.links().document(project.id, None)
    }
}

impl<E: OperatorEvent> Handler for E {
    fn lookups(&self, lookups: &mut Lookups) {
        self.context().lookups(lookups);
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        self.context().plans(&self.message(names), names)
    }

    fn announce(&self, names: &Names) -> Option<Announcement> {
        let announcement = self.context().announcement(self.message(names), names);
        Some(announcement)
    }
}
