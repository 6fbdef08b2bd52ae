//! The column contract: what the job reads of tables or views that the application may have made.

use super::{Transaction, Unnamed, objects};

/// A column of the application's.
#[derive(Debug)]
pub struct Column {
    pub relation: &'static str,
    pub name: &'static str,
    /// The types that it may have: see `violations.sql`.
    pub kind: &'static str,
    pub nullable: bool,
    /// Whether migrate adds it where the table lacks it.
    pub is_added: bool,
    pub used_for: &'static str,
}

macro_rules! contract {
    ($($relation:ident { $($name:ident $kind:literal $null:ident $from:ident $used_for:literal;)* })*) => {
        &[$($(Column {
            relation: stringify!($relation),
            name: stringify!($name),
            kind: $kind,
            nullable: contract!(@ $null),
            is_added: contract!(@ $from),
            used_for: $used_for,
        }),*),*]
    };
    (@ null) => { true };
    (@ set) => { false };
    (@ added) => { true };
    (@ needed) => { false };
}

/// All of it, table by table.
pub const COLUMNS: &[Column] = contract! {
    profiles {
        id "uuid" set needed "recipients";
        email "text" null needed "addresses of e-mails";
        full_name "text" null needed "names in messages";
    }
    orgs {
        id "uuid" set needed "names in messages";
        name "text" null needed "names in messages";
    }
    org_members {
        org_id "uuid" set needed "owners as recipients, can_view";
        user_id "uuid" set needed "owners as recipients, can_view";
        role "word" null needed "owners as recipients, can_view";
    }
    projects {
        id "uuid" set needed "names in messages, recipients";
        name "text" null needed "names in messages";
        owner_org_id "uuid" null needed "owners as recipients";
    }
    project_access_grants {
        project_id "uuid" set needed "recipients, can_view";
        user_id "uuid" set needed "recipients, can_view";
    }
    resources {
        id "uuid" set needed "names in messages, can_view";
        org_id "uuid" null needed "owners as recipients, can_view";
        project_id "uuid" null needed "recipients, can_view";
        name "text" null needed "names in messages";
    }
    permissions {
        resource_id "uuid" set needed "can_view, unless it is the application's own";
        user_id "uuid" set needed "can_view, unless it is the application's own";
        permission "word" null needed "can_view, unless it is the application's own";
    }
    chat_threads {
        id "uuid" set needed "names in messages";
        topic "text" null needed "names in messages";
    }
    chat_thread_participants {
        thread_id "uuid" set needed "recipients";
        user_id "uuid" set needed "recipients";
    }
    meetings {
        id "uuid" set needed "names in messages";
        title "text" null needed "names in messages";
        start_time "time" null needed "times in messages";
    }
    meeting_participants {
        meeting_id "uuid" set needed "recipients";
        user_id "uuid" set needed "recipients";
    }
    user_notification_preferences {
        user_id "uuid" set needed "preferences";
        scope_type "word" set needed "preferences";
        scope_id "uuid" null needed "preferences";
        event_type "word" set needed "preferences";
        channel "word" set needed "preferences";
        status "word" set needed "preferences";
    }
    domain_events {
        id "integer" set needed "every event";
        event_type "word" set needed "every event";
        actor_id "uuid" null added "who caused it";
        project_id "uuid" null added "recipients, names, links";
        org_id "uuid" null added "recipients, names";
        resource_id "uuid" null added "recipients, names, links";
        thread_id "any" null added "recipients, names, links";
        meeting_id "uuid" null added "recipients, names, links";
        payload "jsonb" null added "what else an event type needs";
        occurred_at "time" null added "age, order";
    }
    notification_processing {
        event_id "integer" set needed "the event";
        processing_status "word" set needed "claims";
    }
    notifications {
        id "integer" set needed "merging, delivery";
        user_id "uuid" set needed "merging, delivery";
        event_id "integer" set needed "merging, delivery";
        title "text" set needed "what is written";
        body "text" null needed "what is written";
        link_url "text" null needed "what is written";
        read_at "time" null needed "merging, delivery";
        created_at "time" set needed "order";
    }
    pending_emails {
        id "integer" set needed "delivery";
        user_id "uuid" null needed "delivery";
        event_id "integer" null needed "delivery";
        event_type "text" null needed "delivery";
        delivery_type "text" null needed "delivery";
        project_id "uuid" null needed "delivery";
        project_name "text" null needed "delivery";
        subject "text" null needed "delivery";
        body_data "jsonb" null needed "delivery";
        status "text" null needed "delivery";
        created_at "time" null needed "age, order";
        processed_at "time" null needed "what is written";
    }
};

/// Describes the types of a kind.
pub fn types(kind: &str) -> &'static str {
    match kind {
        "uuid" | "any" => "uuid",
        "text" => "text or varchar",
        "word" => "text, varchar or enum",
        "integer" => "bigint or integer",
        "time" => "timestamptz",
        _ => "jsonb",
    }
}

/// A column of an existing table or view that breaks the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The table or view, with its schema.
    pub relation: String,
    pub name: String,
    /// The types that are expected.
    pub kind: String,
    /// The type that it has, if it is there.
    pub found: Option<String>,
    /// The schemas of the search path.
    pub path: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (relation, name, types) = (&self.relation, &self.name, types(&self.kind));
        match &self.found {
            Some(found) => write!(f, "{relation}.{name} is {found}, expected {types}"),
            None => write!(f, "{relation} has no column {name} ({types})"),
        }
    }
}

/// Violations in one line.
pub fn listed(violations: &[Violation]) -> String {
    let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

/// The first of the tables that the job writes: none of them can be done without.
const FIRST_WRITTEN: &str = "domain_events";

/// The tables and views that the job only reads.
pub fn read_only() -> impl Iterator<Item = &'static str> {
    let tables = COLUMNS.chunk_by(|one, next| one.relation == next.relation);
    let tables = tables.map(|columns| columns[0].relation);
    tables.take_while(|relation| *relation != FIRST_WRITTEN)
}

/// The statement that declares that there is none of a table, in the schema that `prefix` names.
pub fn declared_empty(prefix: &str, relation: &str) -> String {
    let columns = COLUMNS.iter().filter(|column| column.relation == relation);
    let columns = columns.map(|Column { name, kind, .. }| {
        let kind = match *kind {
            "any" => "uuid",
            "word" => "text",
            "integer" => "bigint",
            "time" => "timestamptz",
            kind => kind,
        };
        format!("NULL::{kind} AS {name}")
    });
    let columns = columns.collect::<Vec<_>>().join(", ");
    format!("CREATE VIEW {prefix}{relation} AS SELECT {columns} WHERE false;")
}

/// What to do about violations.
pub fn ways_out(violations: &[Violation]) -> String {
    let mut relations: Vec<_> = violations.iter().map(|one| one.relation.as_str()).collect();
    relations.dedup();
    let path = violations.first().map_or("", |one| one.path.as_str());
    let is_read_only = |relation: &&str| read_only().any(|known| known == *relation);
    if !relations.iter().all(is_read_only) {
        return "if these are tables of another purpose, put the service into a schema of its own (CREATE \
                SCHEMA notify; DATABASE_URL with ?options=-csearch_path%3Dnotify): a view of the name and \
                columns expected for each table that you have, and nothing for the others: migrate \
                creates an empty table there; docs/adoption.md shows it"
            .to_owned();
    }
    let views: Vec<_> = relations
        .iter()
        .map(|relation| declared_empty("notify.", relation))
        .collect();
    let path = if path.split(',').any(|schema| schema == "notify") {
        path.to_owned()
    } else {
        format!("notify,{path}")
    };
    format!(
        "if these are tables of another purpose, declare that the service has none:\n\
         CREATE SCHEMA IF NOT EXISTS notify;\n{}\n\
         then add to DATABASE_URL, for all commands: options=-csearch_path%3D{path}\n\
         If one serves the purpose under other column names, let its view SELECT those: docs/adoption.md",
        views.join("\n")
    )
}

/// What of the application's tables and views the job could not read. Missing ones are created, and `permissions` is read by our own `can_view` alone.
pub async fn violations(transaction: &mut Transaction<'_>) -> Result<Vec<Violation>, sqlx::Error> {
    let has_own_rule = objects::has_own_rule(transaction).await?;
    let mut columns: Vec<&Column> = COLUMNS.iter().collect();
    columns.retain(|column| !(has_own_rule && column.relation == "permissions"));
    let texts = |of: fn(&Column) -> &'static str| -> Vec<String> {
        columns.iter().map(|column| of(column).to_owned()).collect()
    };
    let needed: Vec<bool> = columns.iter().map(|column| !column.is_added).collect();
    sqlx::query_file_as!(
        Violation,
        "src/db/contract/violations.sql",
        &texts(|column| column.relation),
        &texts(|column| column.name),
        &texts(|column| column.kind),
        &needed,
    )
    .fetch_all(Unnamed(transaction))
    .await
}
