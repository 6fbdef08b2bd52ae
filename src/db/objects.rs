//! The functions and triggers of the service. Each is made where it is missing, and made anew where
//! the database has another than this version makes, so that a definition is changed in one place.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;

use super::{Transaction, Unnamed};

/// A function or trigger, with its definition as PostgreSQL prints it.
struct Object {
    /// Name of a trigger, signature of a function.
    name: &'static str,
    /// The fact that names the table of a trigger; empty for a function.
    relation: &'static str,
    definition: &'static str,
    /// Where the application may have its own of that name: MD5 sums of the bodies that earlier
    /// versions made. Any other body stays as it is.
    earlier: &'static str,
}

macro_rules! objects {
    ($($name:literal on $relation:literal, $file:literal, $earlier:literal;)*) => {
        &[$(Object {
            name: $name,
            relation: $relation,
            definition: include_str!(concat!("../../migrations/objects/", $file)),
            earlier: $earlier,
        }),*]
    };
}

/// All of them, in the order in which they are made. A changed body that has sums here leaves its own
/// behind: see the test below.
const OBJECTS: &[Object] = objects! {
    "can_view(uuid, uuid)" on "", "can_view.sql", "d2a0326fe99fbabd750af505f3a6cf6c";
    "can_view_many(uuid[], uuid[])" on "", "can_view_many.sql", "d4d14065714d746d9ffee26b5b961b8d";
    "notify_fan_out_enqueue()" on "", "notify_fan_out_enqueue.sql", "";
    "notify_fan_out_enqueue" on "{events}", "notify_fan_out_enqueue_trigger.sql", "";
    "notify_fan_out_close_read()" on "", "notify_fan_out_close_read.sql", "";
    "notify_fan_out_close_read" on "{notifications}", "notify_fan_out_close_read_trigger.sql", "";
    "notify_fan_out_pending(integer)" on "", "notify_fan_out_pending.sql", "";
    "get_pending_notification_events(integer)" on "", "get_pending_notification_events.sql", "403486feb4deb175188e7a0f957938ae";
};

/// An object that the database lacks, or has another version of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// With its name.
    pub label: String,
    /// Whether there is one.
    pub is_outdated: bool,
    /// What makes it, in order.
    pub(super) statements: Vec<String>,
}

/// What the definitions depend on, by the names that stand for it: `{home}`.
#[derive(Debug)]
struct Facts(BTreeMap<String, String>);

impl Facts {
    fn fill(&self, text: &str) -> String {
        let facts = self.0.iter();
        facts.fold(text.to_owned(), |text, (name, value)| {
            text.replace(name, value)
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
enum State {
    Missing,
    Outdated,
    Current,
    /// The application's own.
    Foreign,
}

#[derive(Debug)]
struct Found {
    state: State,
    /// The function that is there.
    signature: Option<String>,
    /// A function of an earlier version that only the trigger to be replaced calls.
    leftover: Option<String>,
}

/// Each object with its definition here, and how the database's stands. The search path has to begin
/// with the schema of the events.
async fn compare(
    transaction: &mut Transaction<'_>,
) -> Result<(Facts, Vec<(&'static Object, String, Found)>), sqlx::Error> {
    let facts = sqlx::query_file!("src/db/objects/facts.sql")
        .fetch_all(Unnamed(transaction))
        .await?;
    let facts = facts.into_iter().map(|fact| (fact.name, fact.value));
    let facts = Facts(facts.collect());
    let each = |part: fn(&Object) -> &'static str| -> Vec<String> {
        let filled = OBJECTS.iter().map(|object| facts.fill(part(object)));
        filled.collect()
    };
    let definitions = each(Object::statement);
    let found = sqlx::query_file_as!(
        Found,
        "src/db/objects/state.sql",
        &each(|object| object.name),
        &each(|object| object.relation),
        &definitions,
        &each(|object| object.earlier),
        facts.fill("{home}"),
    )
    .fetch_all(Unnamed(transaction))
    .await?;
    let objects = OBJECTS.iter().zip(definitions).zip(found);
    let objects = objects.map(|((object, definition), found)| (object, definition, found));
    Ok((facts, objects.collect()))
}

/// The objects to be made, in order.
pub(super) async fn due(transaction: &mut Transaction<'_>) -> Result<Vec<Due>, sqlx::Error> {
    let (facts, objects) = compare(transaction).await?;
    let due = objects
        .into_iter()
        .filter(|(.., found)| matches!(found.state, State::Missing | State::Outdated))
        .map(|(object, definition, found)| object.make(definition, &facts, &found));
    Ok(due.collect())
}

/// Whether the application has a rule of its own for who may view a document.
pub(super) async fn has_own_rule(transaction: &mut Transaction<'_>) -> Result<bool, sqlx::Error> {
    let foreign = foreign(transaction).await?;
    Ok(foreign.contains(&"can_view(uuid, uuid)"))
}

/// The functions of the application that bear the names of ours, and stay.
pub async fn foreign(transaction: &mut Transaction<'_>) -> Result<Vec<&'static str>, sqlx::Error> {
    let (_, objects) = compare(transaction).await?;
    let foreign = objects
        .into_iter()
        .filter(|(.., found)| found.state == State::Foreign);
    Ok(foreign.map(|(object, ..)| object.name).collect())
}

/// What takes them out again, each with its label. What is the application's stays.
pub(super) async fn removal(
    transaction: &mut Transaction<'_>,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    let (facts, objects) = compare(transaction).await?;
    let ours = objects
        .into_iter()
        .rev()
        .filter(|(.., found)| matches!(found.state, State::Current | State::Outdated));
    let removal = ours.map(|(object, _, found)| {
        let label = object.label(&facts);
        let statement = match found.signature {
            Some(signature) => format!("DROP FUNCTION {signature}"),
            None => format!(
                "DROP TRIGGER {} ON {}",
                object.name,
                facts.fill(object.relation)
            ),
        };
        (label, statement)
    });
    Ok(removal.collect())
}

impl Object {
    /// Its definition without the comment before it.
    fn statement(&self) -> &'static str {
        let start = self.definition.find("CREATE").unwrap_or_default();
        self.definition[start..].trim_end()
    }

    fn label(&self, facts: &Facts) -> String {
        match facts.fill(self.relation).as_str() {
            "" => format!("function {}", self.name),
            relation => format!("trigger {} on {relation}", self.name),
        }
    }

    fn make(&self, definition: String, facts: &Facts, found: &Found) -> Due {
        let is_outdated = found.state == State::Outdated;
        let (name, relation) = (self.name, facts.fill(self.relation));
        let mut statements = Vec::new();
        if relation.is_empty() {
            statements.push(definition);
            statements.push(revoke(&facts.fill(&format!("{{home}}.{name}"))));
        } else {
            if is_outdated {
                statements.push(format!("DROP TRIGGER {name} ON {relation}"));
            }
            statements.push(definition);
            let leftover = found.leftover.iter();
            statements.extend(leftover.map(|function| format!("DROP FUNCTION {function}")));
        }
        Due {
            label: self.label(facts),
            is_outdated,
            statements,
        }
    }
}

/// Nobody but the owner and those whom grants.sql names may call it. Default privileges, as Supabase
/// has them, open each new function to its roles by name.
fn revoke(function: &str) -> String {
    format!(
        "DO $$
DECLARE
    client text;
BEGIN
    FOR client IN SELECT 'PUBLIC' UNION ALL SELECT quote_ident(rolname) FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE 'REVOKE ALL ON FUNCTION {function} FROM ' || client;
    END LOOP;
END
$$"
    )
}

/// Makes what is due.
pub(super) async fn make(transaction: &mut Transaction<'_>) -> Result<Vec<String>, sqlx::Error> {
    let due = due(transaction).await?;
    for statement in due.iter().flat_map(|object| &object.statements) {
        let statement = AssertSqlSafe(statement.clone());
        transaction.command(statement).await?;
    }
    Ok(due.into_iter().map(|object| object.label).collect())
}
