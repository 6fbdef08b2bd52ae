//! A small world: people, what they work on, and the events of their day.

use std::fmt::Display;
use std::future::IntoFuture;
use std::pin::Pin;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

/// The identifier of whatever is called so: the same in each test and process.
pub(crate) const fn id(kind: &str, name: &str) -> Uuid {
    let [kind, name] = [kind.as_bytes(), name.as_bytes()];
    let high = hash(hash(hash(0xcbf2_9ce4_8422_2325, kind), &[0]), name);
    let low = hash(hash(hash(0x9e37_79b9_7f4a_7c15, kind), &[0]), name);
    uuid::Builder::from_random_bytes(Uuid::from_u64_pair(high, low).into_bytes()).into_uuid()
}

/// FNV-1a: any spread will do.
const fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = seed;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x100_0000_01b3);
        at += 1;
    }
    hash
}

pub(crate) const ADA: Uuid = id("user", "Ada");
pub(crate) const BO: Uuid = id("user", "Bo");
pub(crate) const CY: Uuid = id("user", "Cy");
pub(crate) const GIA: Uuid = id("user", "Gia");
pub(crate) const OLGA: Uuid = id("user", "Olga");
pub(crate) const ACME: Uuid = id("org", "Acme");
pub(crate) const ATLAS: Uuid = id("project", "Atlas");
pub(crate) const REPORT: Uuid = id("document", "Report");
pub(crate) const BUDGET: Uuid = id("thread", "Budget");
pub(crate) const KICKOFF: Uuid = id("meeting", "Kick-off");

/// Fills the application's tables.
#[derive(Debug)]
pub(crate) struct World {
    connection: PgConnection,
}

impl World {
    pub(super) fn new(connection: PgConnection) -> Self {
        Self { connection }
    }

    /// Runs a statement with identifiers and texts as it finds them.
    pub(crate) async fn execute(&mut self, statements: impl Into<String>) {
        let statements: String = statements.into();
        sqlx::raw_sql(AssertSqlSafe(statements.clone()))
            .execute(&mut self.connection)
            .await
            .unwrap_or_else(|error| panic!("{error}: {statements}"));
    }

    /// A row with an identifier of its name; other columns and their values follow.
    async fn named(&mut self, kind: &str, name: &str, into: &str, values: &str) -> Uuid {
        let id = id(kind, name);
        let name = name.replace('\'', "''");
        let insert = format!("INSERT INTO {into} VALUES ('{id}', '{name}', {values})");
        self.execute(insert).await;
        id
    }

    /// Several rows that belong to one thing, each with a person; other values follow.
    async fn each(&mut self, into: &str, of: Uuid, users: &[Uuid], values: &str) {
        let users: Vec<_> = users.iter().map(Uuid::to_string).collect();
        let users = users.join(",");
        let select = format!("SELECT '{of}'::uuid, unnest('{{{users}}}'::uuid[]) {values}");
        self.execute(format!("INSERT INTO {into} {select}")).await;
    }

    /// A person, whose address is `ada@example.com`.
    pub(crate) async fn user(&mut self, name: &str) -> Uuid {
        let email = format!("'{}@example.com'", name.to_lowercase());
        self.named("user", name, "profiles (id, full_name, email)", &email)
            .await
    }

    /// Several people.
    pub(crate) async fn users<const N: usize>(&mut self, names: [&str; N]) -> [Uuid; N] {
        let mut ids = [Uuid::nil(); N];
        for (id, name) in ids.iter_mut().zip(names) {
            *id = self.user(name).await;
        }
        ids
    }

    /// So many people who have no other part than to be many.
    pub(crate) async fn people(&mut self, size: i32) -> Vec<Uuid> {
        sqlx::query_scalar(
            "INSERT INTO profiles (id, email, full_name)
             SELECT md5('people' || n)::uuid, 'p' || n || '@example.com', 'P' || n
               FROM generate_series(1, $1) AS n
             RETURNING id",
        )
        .bind(size)
        .fetch_all(&mut self.connection)
        .await
        .expect("people")
    }

    /// An organisation with its owners.
    pub(crate) async fn org(&mut self, name: &str, owners: impl AsRef<[Uuid]>) -> Uuid {
        let id = id("org", name);
        self.execute(format!(
            "INSERT INTO orgs (id, name) VALUES ('{id}', '{name}')"
        ))
        .await;
        self.members(id, "owner", owners).await;
        id
    }

    /// Acme, with its owners and its project Atlas.
    pub(crate) async fn acme(&mut self, owners: impl AsRef<[Uuid]>) -> [Uuid; 2] {
        let acme = self.org("Acme", owners).await;
        [acme, self.project("Atlas", acme).await]
    }

    /// Members of an organisation: `owner` or `member`.
    pub(crate) async fn members(&mut self, org: Uuid, role: &str, users: impl AsRef<[Uuid]>) {
        let into = "org_members (org_id, user_id, role)";
        self.each(into, org, users.as_ref(), &format!(", '{role}'"))
            .await;
    }

    /// A project of an organisation.
    pub(crate) async fn project(&mut self, name: &str, org: Uuid) -> Uuid {
        let into = "projects (id, name, owner_org_id)";
        self.named("project", name, into, &format!("'{org}'")).await
    }

    /// Access to a project.
    pub(crate) async fn grant(&mut self, project: Uuid, users: impl AsRef<[Uuid]>) {
        let into = "project_access_grants (project_id, user_id)";
        self.each(into, project, users.as_ref(), "").await;
    }

    /// A document of an organisation in one of its projects.
    pub(crate) async fn document(&mut self, name: &str, org: Uuid, project: Uuid) -> Uuid {
        let into = "resources (id, name, org_id, project_id)";
        let values = format!("'{org}', '{project}'");
        self.named("document", name, into, &values).await
    }

    /// What a person may do with a document: `view`, `edit` or `none`.
    pub(crate) async fn permission(&mut self, document: Uuid, user: Uuid, permission: &str) {
        let into = "permissions (resource_id, user_id, permission)";
        self.each(into, document, &[user], &format!(", '{permission}'"))
            .await;
    }

    /// A chat thread with its participants.
    pub(crate) async fn thread(&mut self, topic: &str, participants: impl AsRef<[Uuid]>) -> Uuid {
        let id = id("thread", topic);
        self.execute(format!(
            "INSERT INTO chat_threads (id, topic) VALUES ('{id}', '{topic}')"
        ))
        .await;
        let into = "chat_thread_participants (thread_id, user_id)";
        self.each(into, id, participants.as_ref(), "").await;
        id
    }

    /// A meeting with its participants.
    pub(crate) async fn meeting(&mut self, title: &str, participants: impl AsRef<[Uuid]>) -> Uuid {
        let into = "meetings (id, title, start_time)";
        let id = self
            .named("meeting", title, into, "'2030-01-02T09:30Z'")
            .await;
        let into = "meeting_participants (meeting_id, user_id)";
        self.each(into, id, participants.as_ref(), "").await;
        id
    }

    /// A preference, written `scope / event type / channel = status`, with the project or thread
    /// that a scope other than `global` speaks of:
    ///
    /// ```ignore
    /// world.prefers(bo, "project / document_uploaded / email = digest", Some(atlas)).await;
    /// ```
    pub(crate) async fn prefers(&mut self, user: Uuid, rule: &str, scope: Option<Uuid>) {
        let (place, status) = rule.split_once(" = ").expect("a status");
        let parts: Vec<_> = place.split(" / ").collect();
        let [kind, event_type, channel] = parts[..] else {
            panic!("scope / event type / channel: {rule}")
        };
        let scope = scope.map_or("NULL".to_owned(), |id| format!("'{id}'"));
        self.execute(format!(
            "INSERT INTO user_notification_preferences
                (user_id, scope_type, scope_id, event_type, channel, status)
             VALUES ('{user}', '{kind}', {scope}, '{event_type}', '{channel}', '{status}')"
        ))
        .await;
    }

    /// An event, inserted when awaited; its identifier comes back.
    pub(crate) fn event<'w>(&'w mut self, event_type: &str) -> EventBuilder<'w> {
        let event = EventBuilder {
            connection: &mut self.connection,
            columns: Vec::new(),
        };
        event.set("event_type", event_type)
    }

    /// A message in a thread, which is coalesced with others.
    pub(crate) fn message(&mut self, thread: Uuid) -> EventBuilder<'_> {
        self.event("chat_message_sent").thread(thread)
    }

    /// A person is given access to a project, which is both notified and mailed, and never coalesced.
    pub(crate) fn granted(&mut self, user: Uuid, project: Uuid) -> EventBuilder<'_> {
        let event = self.event("project_access_granted").project(project);
        event.payload(json!({"affected_user_id": user}))
    }

    /// A person loses an access, which is only notified.
    pub(crate) fn revoked(&mut self, user: Uuid) -> EventBuilder<'_> {
        let event = self.event("project_access_revoked");
        event.payload(json!({"affected_user_id": user}))
    }

    /// A document is uploaded to a project, for those who may view it.
    pub(crate) fn uploaded(&mut self, document: Uuid, project: Uuid) -> EventBuilder<'_> {
        let event = self.event("document_uploaded").project(project);
        event.document(document)
    }

    /// A meeting is changed, for each participant.
    pub(crate) fn updated(&mut self, meeting: Uuid) -> EventBuilder<'_> {
        self.event("meeting_updated").meeting(meeting)
    }

    /// An owner is reminded of a project's resume, once in each tier.
    pub(crate) fn nudge(&mut self, owner: Uuid, project: Uuid, tier: u32) -> EventBuilder<'_> {
        let event = self.event("resume_incomplete_nudge").project(project);
        event.payload(json!({
            "user_id": owner, "resume_type": "project", "completion_percent": 40, "nudge_tier": tier,
        }))
    }
}

/// An event in the making.
#[derive(Debug)]
#[must_use = "await it"]
pub(crate) struct EventBuilder<'w> {
    connection: &'w mut PgConnection,
    /// With their values in SQL.
    columns: Vec<(&'static str, String)>,
}

impl EventBuilder<'_> {
    fn set(mut self, column: &'static str, value: impl Display) -> Self {
        let value = value.to_string().replace('\'', "''");
        self.columns.push((column, format!("'{value}'")));
        self
    }

    pub(crate) fn actor(self, id: Uuid) -> Self {
        self.set("actor_id", id)
    }

    pub(crate) fn project(self, id: Uuid) -> Self {
        self.set("project_id", id)
    }

    pub(crate) fn org(self, id: Uuid) -> Self {
        self.set("org_id", id)
    }

    pub(crate) fn document(self, id: Uuid) -> Self {
        self.set("resource_id", id)
    }

    pub(crate) fn thread(self, id: Uuid) -> Self {
        self.set("thread_id", id)
    }

    pub(crate) fn meeting(self, id: Uuid) -> Self {
        self.set("meeting_id", id)
    }

    /// What it says besides; of two the later counts.
    pub(crate) fn payload(mut self, payload: Value) -> Self {
        self.columns.retain(|(column, _)| *column != "payload");
        self.set("payload", payload)
    }

    pub(crate) fn hours_ago(mut self, hours: i32) -> Self {
        let time = format!("now() - interval '{hours} h'");
        self.columns.push(("occurred_at", time));
        self
    }
}

impl<'w> IntoFuture for EventBuilder<'w> {
    type Output = i64;
    type IntoFuture = Pin<Box<dyn Future<Output = i64> + Send + 'w>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (columns, values): (Vec<_>, Vec<_>) = self.columns.into_iter().unzip();
            let insert = format!(
                "INSERT INTO domain_events ({}) VALUES ({}) RETURNING id::bigint",
                columns.join(", "),
                values.join(", ")
            );
            sqlx::query_scalar(AssertSqlSafe(insert))
                .fetch_one(self.connection)
                .await
                .expect("an event")
        })
    }
}
