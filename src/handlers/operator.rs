//! What the events of operations and billing have in common: endpoints, the person whom the event
//! names and the owners of its organisation receive the same message.

use chrono::NaiveDate;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::channel_choice::ChannelChoice;
use super::draft::{Draft, object};
use super::entity::{Entity, NamedEntity};
use super::operator_message::OperatorMessage;
use super::payload::Part;
use super::{Event, Lookups, MailTemplates, Names, templates};
use crate::domain::announcement::{Announcement, DedupKey, Field, Message};
use crate::domain::event::{EventRow, InvalidEvent};
use crate::domain::payload::Fields;
use crate::domain::plan::{Audience, EmailTiming, InApp, Plan};

/// An event of operations or billing.
pub(super) trait OperatorEvent: Part + std::fmt::Debug + Send + 'static {
    /// Its name as other systems write it.
    const DOTTED: &'static str;
    /// Whether the actor, if there is one, is not notified.
    const EXCLUDES_ACTOR: bool = false;

    fn sample() -> EventRow;

    fn context(&self) -> &OperatorContext;

    fn message(&self, names: &Names) -> OperatorMessage;

    /// Whom it is about.
    fn person(&self) -> Option<&Entity> {
        None
    }

    fn channels(&self) -> ChannelChoice {
        ChannelChoice::default()
    }

    fn dedup_keys(&self) -> Vec<DedupKey> {
        Vec::new()
    }
}

/// Where an operator event happened, and when.
///
/// The organisation is `org_id` or `tenant_id`, else the column; what is not a UUID names none.
#[derive(Debug)]
pub(super) struct OperatorContext {
    event_type: &'static str,
    actor_id: Option<Uuid>,
    day: NaiveDate,
    tenant: Entity,
    project: Entity,
}

impl Part for OperatorContext {
    fn decode(fields: Fields<'_>, key: &'static str) -> Result<Self, InvalidEvent> {
        let row = fields.row;
        let given = || {
            fields
                .optional("org_id")
                .or_else(|| fields.optional("tenant_id"))
        };
        let org_id = row.org_id.or_else(given);
        Ok(Self {
            event_type: fields.event_type,
            actor_id: row.actor_id,
            day: row.occurred_at.date_naive(),
            tenant: Entity::tenant(fields, org_id),
            project: Entity::decode(fields, key)?,
        })
    }

    fn lookups(&self, lookups: &mut Lookups) {
        self.tenant.lookups(lookups);
        self.project.lookups(lookups);
    }
}

impl OperatorContext {
    /// The organisation that it happened to.
    pub(super) fn tenant<'a>(&'a self, names: &'a Names) -> NamedEntity<'a> {
        let [tenant] = names.of([&self.tenant]);
        tenant
    }

    /// One alert on the day of its event, in UTC.
    pub(super) fn once_a_day(&self, alert_id: &str) -> DedupKey {
        DedupKey::Day(format!("{}:{alert_id}:{}", self.event_type, self.day))
    }
}

impl<E: OperatorEvent> Event for E {
    const ALIAS: Option<&'static str> = Some(E::DOTTED);
    const IS_OPERATOR: bool = true;
    const MAIL: Option<MailTemplates> = Some(templates!("operator", "severity"));

    fn samples() -> Vec<EventRow> {
        vec![E::sample()]
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let channels = self.channels();
        if !channels.in_app && !channels.email {
            return Vec::new();
        }
        Composed::new(self, names).plans(&channels)
    }

    fn announce(&self, names: &Names) -> Option<Announcement> {
        let channels = self.channels();
        Some(Composed::new(self, names).announcement(channels))
    }
}

/// An event's message and the names in it.
struct Composed<'a> {
    context: &'a OperatorContext,
    message: OperatorMessage,
    dedup_keys: Vec<DedupKey>,
    actor_id: Option<Uuid>,
    person: Option<NamedEntity<'a>>,
    tenant: NamedEntity<'a>,
    project: NamedEntity<'a>,
    link_url: String,
}

impl<'a> Composed<'a> {
    fn new<E: OperatorEvent>(event: &'a E, names: &'a Names) -> Self {
        let context = event.context();
        let [tenant, project] = names.of([&context.tenant, &context.project]);
        Self {
            context,
            message: event.message(names),
            dedup_keys: event.dedup_keys(),
            actor_id: context.actor_id.filter(|_| E::EXCLUDES_ACTOR),
            person: event.person().map(|person| names.of([person])[0]),
            tenant,
            project,
            link_url: names.links().document(project.id, None),
        }
    }

    fn user_id(&self) -> Option<Uuid> {
        self.person.and_then(|person| person.id)
    }

    fn plans(&self, channels: &ChannelChoice) -> Vec<Plan> {
        let user_id = self.user_id();
        // They know who they are.
        let person = user_id.map(|user_id| (Audience::User(user_id), false));
        let owners = self.tenant.id.map(|org_id| {
            let except = user_id;
            (Audience::OrgOwners { org_id, except }, true)
        });
        let audiences = person.into_iter().chain(owners);
        audiences
            .map(|(audience, with_user)| self.plan(audience, &self.fields(with_user), channels))
            .collect()
    }

    fn plan(&self, audience: Audience, fields: &[Field], channels: &ChannelChoice) -> Plan {
        let draft = Draft {
            title: self.message.title.clone(),
            body: self.message.body(fields),
            link_url: self.link_url.clone(),
            data: object! {
                ..self.with_place(self.message.data.clone()),
                "type": self.context.event_type,
                "severity": self.message.severity,
            },
        };
        let mut email = draft.email(EmailTiming::Immediate, self.project);
        email.body_data = self.body_data(fields);
        let day = self.dedup_keys.iter().find_map(|key| match key {
            DedupKey::Day(key) => Some(key.clone()),
            DedupKey::Content(_) => None,
        });
        let in_app = channels.in_app.then(|| draft.in_app());
        Plan {
            actor_id: self.actor_id,
            in_app: in_app.unwrap_or(InApp::None),
            email: channels.email.then_some(email),
            once_key: day,
            ..Plan::new(audience, self.context.project.scopes())
        }
    }

    fn announcement(self, channels: ChannelChoice) -> Announcement {
        let data = object! { ..self.message.data.clone(), "user_id": self.user_id() };
        Announcement {
            org_id: self.tenant.id,
            project_id: self.project.id,
            channels: channels.endpoints,
            sms_to: self.user_id().filter(|_| channels.sms),
            message: Message {
                fields: self.fields(true),
                data: self.with_place(data),
                severity: self.message.severity,
                link_url: Some(self.link_url),
                title: self.message.title,
                text: self.message.text,
            },
            dedup_keys: self.dedup_keys,
        }
    }

    /// The message's fields, and the names that its title lacks.
    fn fields(&self, with_user: bool) -> Vec<Field> {
        let person = self.person.filter(|_| with_user);
        let place = [
            ("User", person.and_then(|person| person.name)),
            ("Organisation", self.tenant.name),
            ("Project", self.project.name),
        ];
        let place = place.into_iter();
        let place = place.filter_map(|(name, value)| OperatorMessage::field(name, value?));
        let untold = place.filter(|field| !self.message.title.contains(&field.value));
        self.message.fields.iter().cloned().chain(untold).collect()
    }

    fn with_place(&self, data: Map<String, Value>) -> Map<String, Value> {
        object! {
            ..data,
            "org_id": self.tenant.id,
            "org_name": self.tenant.name,
            "project_id": self.project.id,
            "project_name": self.project.name,
        }
    }

    /// What the templates of all operator events need.
    fn body_data(&self, fields: &[Field]) -> Map<String, Value> {
        let text = Some(&self.message.text).filter(|text| !text.is_empty());
        let mut data = object! {
            "type": self.context.event_type,
            "link_url": self.link_url,
            "severity": self.message.severity,
            "text": text,
            "fields": fields,
        };
        if !self.dedup_keys.is_empty() {
            let keys: Vec<_> = self.dedup_keys.iter().map(DedupKey::key).collect();
            data.insert("guards".to_owned(), keys.into());
        }
        self.with_place(data)
    }
}
