//! What the events of operations and billing have in common: each is told to endpoints, to the
//! person whom it names and to the owners of its organisation, all in the same words.
//!
//! Optional keys: `org_id` or `tenant_id` (else the column; what is no UUID names no
//! organisation), `org_name` or `tenant_name`, `project_id` (else the column), `project_name`.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::notice::{Notice, object};
use super::subject::{Named, Subject};
use super::telling::Telling;
use super::ways::Ways;
use super::{Handler, Names, Wanted};
use crate::domain::announcement::{Announcement, Field, Guard, Told};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::{Audience, EmailTiming, InApp, Plan};

/// An event of operations or billing.
pub(super) trait OperatorEvent: std::fmt::Debug + Send {
    /// Where it happened, and whom it names.
    fn operation(&self) -> &Operation;

    /// What there is to say of it.
    fn telling(&self, names: &Names) -> Telling;
}

/// Where an event of operations or billing happened, and who is to hear of it.
#[derive(Debug)]
pub(super) struct Operation {
    event_type: &'static str,
    actor_id: Option<Uuid>,
    user_id: Option<Uuid>,
    user: Subject,
    tenant: Subject,
    project: Subject,
    ways: Ways,
    guards: Vec<Guard>,
}

impl Operation {
    /// Reads an event that is nobody's act.
    pub(super) fn parse(fields: Fields<'_>) -> Self {
        let org_id = fields
            .row
            .org_id
            .or_else(|| fields.uuid("org_id"))
            .or_else(|| fields.uuid("tenant_id"));
        Self {
            event_type: fields.event_type(),
            actor_id: None,
            user_id: None,
            user: Subject::person(fields, None, &[]),
            tenant: Subject::tenant(fields, org_id),
            project: Subject::any_project(fields),
            ways: Ways::default(),
            guards: Vec::new(),
        }
    }

    /// Reads an event that somebody brought about: he does not hear of it.
    pub(super) fn act(fields: Fields<'_>) -> Self {
        Self {
            actor_id: fields.row.actor_id,
            ..Self::parse(fields)
        }
    }

    /// Reads an event about a person, if it names one in `user_id`.
    pub(super) fn about_person(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        let user_id = fields.strict_uuid("user_id")?;
        Ok(Self {
            user_id,
            user: Subject::person(fields, user_id, &["user_name"]),
            ..Self::parse(fields)
        })
    }

    /// By these ways only.
    pub(super) fn by(self, ways: Ways) -> Self {
        Self { ways, ..self }
    }

    /// Not again while one of these holds.
    pub(super) fn guarded(self, guards: Vec<Guard>) -> Self {
        Self { guards, ..self }
    }

    /// Whom it is about.
    pub(super) fn user_id(&self) -> Option<Uuid> {
        self.user_id
    }

    /// The organisation that it happened to.
    pub(super) fn tenant<'a>(&'a self, names: &'a Names) -> Named<'a> {
        let [tenant] = names.of([&self.tenant]);
        tenant
    }

    fn wants(&self, wanted: &mut Wanted) {
        wanted.extend([&self.user, &self.tenant, &self.project]);
    }

    fn plans(&self, telling: &Telling, names: &Names) -> Vec<Plan> {
        if !self.ways.in_app && !self.ways.email {
            return Vec::new();
        }
        let person = self.user_id.map(|user_id| {
            // He knows who he is.
            let fields = self.fields(telling, names, false);
            self.plan(Audience::User(user_id), telling, &fields, names)
        });
        let owners = self.tenant(names).id.map(|org_id| {
            let audience = Audience::OrgOwners {
                org_id,
                except: self.user_id,
            };
            let fields = self.fields(telling, names, true);
            self.plan(audience, telling, &fields, names)
        });
        person.into_iter().chain(owners).collect()
    }

    fn plan(&self, audience: Audience, telling: &Telling, fields: &[Field], names: &Names) -> Plan {
        let [project] = names.of([&self.project]);
        let data = object! {
            ..telling.data.clone(),
            "type": self.event_type,
            "severity": telling.severity,
        };
        let notice = Notice::told(
            self.link(names),
            self.with_place(data, names),
            telling.title.clone(),
            telling.body(fields),
        );
        let mut email = notice.email(EmailTiming::Immediate, project);
        email.body_data = self.body_data(telling, fields, names);
        let day = self.guards.iter().find_map(|guard| match guard {
            Guard::Day(key) => Some(key.clone()),
            Guard::Content(_) => None,
        });
        Plan {
            audience,
            actor_id: self.actor_id,
            scopes: project.scopes(),
            in_app: if self.ways.in_app {
                notice.in_app()
            } else {
                InApp::None
            },
            email: self.ways.email.then_some(email),
            once_key: day,
        }
    }

    fn announcement(&self, telling: Telling, names: &Names) -> Announcement {
        let [project] = names.of([&self.project]);
        let data = object! { ..telling.data.clone(), "user_id": self.user_id };
        Announcement {
            org_id: self.tenant(names).id,
            project_id: project.id,
            channels: self.ways.channels.clone(),
            text_to: self.user_id.filter(|_| self.ways.text),
            guards: self.guards.clone(),
            message: Told {
                fields: self.fields(&telling, names, true),
                severity: telling.severity,
                link_url: Some(self.link(names)),
                data: self.with_place(data, names),
                title: telling.title,
                text: telling.text,
            },
        }
    }

    /// Its particulars, and the names of those concerned as far as the title lacks them.
    fn fields(&self, telling: &Telling, names: &Names, with_user: bool) -> Vec<Field> {
        let [user, tenant, project] = names.of([&self.user, &self.tenant, &self.project]);
        let place = [
            ("User", user.name.filter(|_| with_user)),
            ("Organisation", tenant.name),
            ("Project", project.name),
        ];
        let mut fields = telling.fields.clone();
        fields.extend(
            place
                .into_iter()
                .filter_map(|(name, value)| Telling::field(name, value?))
                .filter(|field| !telling.title.contains(&field.value)),
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
    fn body_data(&self, telling: &Telling, fields: &[Field], names: &Names) -> Map<String, Value> {
        let text = Some(&telling.text).filter(|text| !text.is_empty());
        let data = object! {
            "type": self.event_type,
            "link_url": self.link(names),
            "severity": telling.severity,
            "text": text,
            "fields": fields,
        };
        let guards: Vec<_> = self.guards.iter().map(Guard::key).collect();
        let data = if guards.is_empty() {
            data
        } else {
            object! { ..data, "guards": guards }
        };
        self.with_place(data, names)
    }

    fn link(&self, names: &Names) -> String {
        let [project] = names.of([&self.project]);
        names.links().document(project.id, None)
    }
}

impl<E: OperatorEvent> Handler for E {
    fn wants(&self, wanted: &mut Wanted) {
        self.operation().wants(wanted);
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        self.operation().plans(&self.telling(names), names)
    }

    fn announce(&self, names: &Names) -> Option<Announcement> {
        let announcement = self.operation().announcement(self.telling(names), names);
        Some(announcement)
    }
}
