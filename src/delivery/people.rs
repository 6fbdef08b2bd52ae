//! Recipients: names, addresses and time zones of `profiles`.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::channels::PhoneNumber;
use crate::db::{Transaction, Unnamed};

#[derive(Debug, Clone, Default, sqlx::FromRow)]
pub(super) struct Person {
    pub(super) id: Uuid,
    pub(super) email: Option<String>,
    pub(super) full_name: Option<String>,
    pub(super) time_zone: Option<String>,
    pub(super) phone: Option<String>,
}

/// The valid phone numbers of these people.
pub async fn phone_numbers(
    connection: &mut Transaction<'_>,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, PhoneNumber>, sqlx::Error> {
    let people = People::known(connection).await?;
    let people = people.read(connection, ids).await?;
    let number = |(id, person): (Uuid, Person)| Some((id, person.phone?.parse().ok()?));
    Ok(people.into_iter().filter_map(number).collect())
}

/// The statement that reads recipients: `profiles` may lack columns, or the role the right to read them.
#[derive(Debug)]
pub(super) struct People(String);

impl People {
    /// Looks up which columns can be read.
    pub(super) async fn known(connection: &mut Transaction<'_>) -> Result<Self, sqlx::Error> {
        let columns = sqlx::query_scalar!(
            r#"SELECT attname::text AS "name!" FROM pg_attribute
                WHERE attrelid = to_regclass('profiles') AND attname IN ('time_zone', 'phone')
                  AND NOT attisdropped AND has_column_privilege(attrelid, attnum, 'SELECT')"#,
        )
        .fetch_all(Unnamed(connection))
        .await?;
        let optional = |name: &str| {
            let is_known = columns.iter().any(|column| column == name);
            let column = if is_known { name } else { "NULL" };
            format!("{column}::text AS {name}")
        };
        Ok(Self(format!(
            "SELECT id, email::text AS email, full_name::text AS full_name, {}, {}
               FROM profiles WHERE id = ANY ($1)",
            optional("time_zone"),
            optional("phone"),
        )))
    }

    /// Reads those of these people that exist.
    pub(super) async fn read(
        &self,
        connection: &mut Transaction<'_>,
        ids: &[Uuid],
    ) -> Result<HashMap<Uuid, Person>, sqlx::Error> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let people: Vec<Person> = sqlx::query_as(AssertSqlSafe(self.0.clone()))
            .bind(ids)
            .fetch_all(Unnamed(connection))
            .await?;
        let by_id = people.into_iter().map(|person| (person.id, person));
        Ok(by_id.collect())
    }
}
