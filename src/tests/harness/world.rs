//! A small world: people, what they work on, and the events of their day.

use std::future::IntoFuture;
use std::pin::Pin;

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

/// The identifier of whatever is called so: the same in each test and process.
pub(crate) fn id(kind: &str, name: &str) -> Uuid {
    // FNV-1a: any spread will do.
    let hash = |seed: u64| {
        let bytes = kind.bytes().chain([0]).chain(name.bytes());
        bytes.fold(seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        })
    };
    let [high, low] = [0xcbf2_9ce4_8422_2325, 0x9e37_79b9_7f4a_7c15].map(hash);
    uuid::Builder::from_random_bytes(Uuid::from_u64_pair(high, low).into_bytes()).into_uuid()
}

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

    /// A person, whose address is `ada@example.com`.
    pub(crate) async fn user(&mut self, name: &str) -> Uuid {
        let id = id("user", name);
        sqlx::query("INSERT INTO profiles (id, email, full_name) VALUES ($1, lower($2) || '@example.com', $2)")
            .bind(id)
            .bind(name)
            .execute(&mut self.connection)
            .await
            .expect("a person");
        id
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
        sqlx::query("INSERT INTO orgs (id, name) VALUES ($1, $2)")
            .bind(id)
            .bind(name)
            .execute(&mut self.connection)
            .await
            .expect("an organisation");
        self.members(id, "owner", owners).await;
        id
    }

    /// Members of an organisation: `owner` or `member`.
    pub(crate) async fn members(&mut self, org: Uuid, role: &str, users: impl AsRef<[Uuid]>) {
        sqlx::query(
            "INSERT INTO org_members (org_id, user_id, role) SELECT $1, unnest($2::uuid[]), $3",
        )
        .bind(org)
        .bind(users.as_ref())
        .bind(role)
        .execute(&mut self.connection)
        .await
        .expect("members");
    }

    /// A project of an organisation.
    pub(crate) async fn project(&mut self, name: &str, org: Uuid) -> Uuid {
        let id = id("project", name);
        sqlx::query("INSERT INTO projects (id, name, owner_org_id) VALUES ($1, $2, $3)")
            .bind(id)
            .bind(name)
            .bind(org)
            .execute(&mut self.connection)
            .await
            .expect("a project");
        id
    }

    /// Access to a project.
    pub(crate) async fn grant(&mut self, project: Uuid, users: impl AsRef<[Uuid]>) {
        sqlx::query(
            "INSERT INTO project_access_grants (project_id, user_id) SELECT $1, unnest($2::uuid[])",
        )
        .bind(project)
        .bind(users.as_ref())
        .execute(&mut self.connection)
        .await
        .expect("grants");
    }

    /// A document of an organisation in one of its projects.
    pub(crate) async fn document(&mut self, name: &str, org: Uuid, project: Uuid) -> Uuid {
        let id = id("document", name);
        sqlx::query("INSERT INTO resources (id, org_id, project_id, name) VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind(org)
            .bind(project)
            .bind(name)
            .execute(&mut self.connection)
            .await
            .expect("a document");
        id
    }

    /// What a person may do with a document: `view`, `edit` or `none`.
    pub(crate) async fn permission(&mut self, document: Uuid, user: Uuid, permission: &str) {
        sqlx::query(
            "INSERT INTO permissions (resource_id, user_id, permission) VALUES ($1, $2, $3)",
        )
        .bind(document)
        .bind(user)
        .bind(permission)
        .execute(&mut self.connection)
        .await
        .expect("a permission");
    }

    /// A chat thread with its participants.
    pub(crate) async fn thread(&mut self, topic: &str, participants: impl AsRef<[Uuid]>) -> Uuid {
        let id = id("thread", topic);
        sqlx::query(
            "WITH thread AS (INSERT INTO chat_threads (id, topic) VALUES ($1, $2))
             INSERT INTO chat_thread_participants (thread_id, user_id) SELECT $1, unnest($3::uuid[])",
        )
        .bind(id)
        .bind(topic)
        .bind(participants.as_ref())
        .execute(&mut self.connection)
        .await
        .expect("a thread");
        id
    }

    /// A meeting, on the day after the last, with its participants.
    pub(crate) async fn meeting(&mut self, title: &str, participants: impl AsRef<[Uuid]>) -> Uuid {
        let id = id("meeting", title);
        sqlx::query(
            "WITH meeting AS (
                INSERT INTO meetings (id, title, start_time) VALUES ($1, $2, '2030-01-02T09:30Z'))
             INSERT INTO meeting_participants (meeting_id, user_id) SELECT $1, unnest($3::uuid[])",
        )
        .bind(id)
        .bind(title)
        .bind(participants.as_ref())
        .execute(&mut self.connection)
        .await
        .expect("a meeting");
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
        let mut parts = place.split(" / ");
        let mut part = || parts.next().expect("scope / event type / channel");
        sqlx::query(
            "INSERT INTO user_notification_preferences
                (user_id, scope_type, scope_id, event_type, channel, status)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(user)
        .bind(part())
        .bind(scope)
        .bind(part())
        .bind(part())
        .bind(status)
        .execute(&mut self.connection)
        .await
        .expect("a preference");
    }

    /// An event, inserted when awaited; its identifier comes back.
    pub(crate) fn event<'w>(&'w mut self, event_type: &'w str) -> EventBuilder<'w> {
        EventBuilder {
            connection: &mut self.connection,
            event_type,
            actor: None,
            project: None,
            org: None,
            document: None,
            thread: None,
            meeting: None,
            payload: None,
            hours_ago: 0,
        }
    }
}

/// An event in the making.
#[derive(Debug)]
#[must_use = "await it"]
pub(crate) struct EventBuilder<'w> {
    connection: &'w mut PgConnection,
    event_type: &'w str,
    actor: Option<Uuid>,
    project: Option<Uuid>,
    org: Option<Uuid>,
    document: Option<Uuid>,
    thread: Option<Uuid>,
    meeting: Option<Uuid>,
    payload: Option<Value>,
    hours_ago: i32,
}

impl EventBuilder<'_> {
    /// Who acted.
    pub(crate) fn actor(mut self, id: Uuid) -> Self {
        self.actor = Some(id);
        self
    }

    /// In which project.
    pub(crate) fn project(mut self, id: Uuid) -> Self {
        self.project = Some(id);
        self
    }

    /// In which organisation.
    pub(crate) fn org(mut self, id: Uuid) -> Self {
        self.org = Some(id);
        self
    }

    /// About which document.
    pub(crate) fn document(mut self, id: Uuid) -> Self {
        self.document = Some(id);
        self
    }

    /// In which chat thread.
    pub(crate) fn thread(mut self, id: Uuid) -> Self {
        self.thread = Some(id);
        self
    }

    /// About which meeting.
    pub(crate) fn meeting(mut self, id: Uuid) -> Self {
        self.meeting = Some(id);
        self
    }

    /// With what else.
    pub(crate) fn payload(mut self, payload: Value) -> Self {
        self.payload = Some(payload);
        self
    }

    /// Not now.
    pub(crate) fn hours_ago(mut self, hours: i32) -> Self {
        self.hours_ago = hours;
        self
    }
}

impl<'w> IntoFuture for EventBuilder<'w> {
    type Output = i64;
    type IntoFuture = Pin<Box<dyn Future<Output = i64> + Send + 'w>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            sqlx::query_scalar(
                "INSERT INTO domain_events (event_type, actor_id, project_id, org_id, resource_id,
                        thread_id, meeting_id, payload, occurred_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now() - make_interval(hours => $9))
                 RETURNING id::bigint",
            )
            .bind(self.event_type)
            .bind(self.actor)
            .bind(self.project)
            .bind(self.org)
            .bind(self.document)
            .bind(self.thread)
            .bind(self.meeting)
            .bind(self.payload)
            .bind(self.hours_ago)
            .fetch_one(self.connection)
            .await
            .expect("an event")
        })
    }
}
