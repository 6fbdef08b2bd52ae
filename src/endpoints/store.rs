//! The rows of `notification_endpoints`, and what operators do to them. Disabling or removing an endpoint
//! cancels its pending deliveries in the same statement.

use std::collections::HashMap;

use rand::CryptoRng;
use secrecy::ExposeSecret;
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

use super::encryption::{Encryption, StoredForm};
use super::endpoint::{Disabled, Endpoint, EndpointScope, Stored};
use super::name::Name;
use crate::channels::Destination;
use crate::db::{Transaction, Unnamed};

#[derive(Debug)]
pub struct NewEndpoint {
    pub id: Uuid,
    pub name: Name,
    pub scope: EndpointScope,
    pub destination: Destination,
    pub event_types: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    Yes,
    NameTaken,
    NoSuchScope,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Done {
        /// Its deliveries that were pending.
        cancelled: u64,
    },
    Already,
    Unknown,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct KeyRotation {
    /// They were encrypted with another key, or plain.
    pub resealed_count: u64,
    /// Encrypted with the first key already.
    pub unchanged_count: u64,
    /// Endpoints whose settings can't be read, by name; they are as they were.
    pub unreadable: Vec<String>,
}

const COLUMNS: &str = "id, name, scope, scope_id, channel, target, event_types, enabled, \
                       disabled_reason, disabled_at, created_at";

/// All of them, by name, without their settings.
pub async fn list(connection: &mut Transaction<'_>) -> Result<Vec<Endpoint>, sqlx::Error> {
    let query = format!("SELECT {COLUMNS} FROM notification_endpoints ORDER BY name");
    let rows = sqlx::query(AssertSqlSafe(query))
        .fetch_all(Unnamed(connection))
        .await?;
    rows.iter().map(endpoint).collect()
}

pub async fn find(
    connection: &mut Transaction<'_>,
    name: &str,
) -> Result<Option<Stored>, sqlx::Error> {
    Ok(stored(connection, "name = $1", name).await?.pop())
}

/// The name of the endpoint that has this name or, where none has, this identifier.
pub async fn name(
    connection: &mut Transaction<'_>,
    name: &str,
    id: Uuid,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT name FROM notification_endpoints WHERE name = $1 OR id = $2 ORDER BY name = $1 DESC LIMIT 1",
    )
    .bind(name)
    .bind(id)
    .fetch_optional(Unnamed(connection))
    .await
}

/// As [`find`], and locks it until the end of the transaction.
pub async fn find_locked(
    connection: &mut Transaction<'_>,
    name: &str,
) -> Result<Option<Stored>, sqlx::Error> {
    Ok(stored(connection, "name = $1 FOR UPDATE", name)
        .await?
        .pop())
}

async fn stored<'q, T>(
    connection: &mut Transaction<'_>,
    condition: &str,
    value: T,
) -> Result<Vec<Stored>, sqlx::Error>
where
    T: 'q + sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let query = format!("SELECT {COLUMNS}, settings FROM notification_endpoints WHERE {condition}");
    let rows = sqlx::query(AssertSqlSafe(query))
        .bind(value)
        .fetch_all(Unnamed(connection))
        .await?;
    let stored = |row: &PgRow| {
        Ok(Stored {
            endpoint: endpoint(row)?,
            settings: row.try_get::<String, _>("settings")?.into(),
        })
    };
    rows.iter().map(stored).collect()
}

fn endpoint(row: &PgRow) -> Result<Endpoint, sqlx::Error> {
    let unknown = |column: &str| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: "a value that this program does not know".into(),
    };
    let scope: String = row.try_get("scope")?;
    let channel: String = row.try_get("channel")?;
    let disabled = Disabled {
        reason: row.try_get("disabled_reason")?,
        at: row.try_get("disabled_at")?,
    };
    Ok(Endpoint {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        scope: EndpointScope::from_row(&scope, row.try_get("scope_id")?)
            .ok_or_else(|| unknown("scope"))?,
        channel: channel.parse().map_err(|_| unknown("channel"))?,
        target: row.try_get("target")?,
        event_types: row.try_get("event_types")?,
        disabled: (!row.try_get::<bool, _>("enabled")?).then_some(disabled),
        created_at: row.try_get("created_at")?,
    })
}

pub async fn add(
    connection: &mut Transaction<'_>,
    new: &NewEndpoint,
    encryption: &Encryption,
    random: &mut impl CryptoRng,
) -> Result<Added, sqlx::Error> {
    let settings = new.destination.settings();
    let added: Option<bool> = sqlx::query_scalar(include_str!("store/add.sql"))
        .bind(new.id)
        .bind(new.name.as_str())
        .bind(new.scope.name())
        .bind(new.scope.id())
        .bind(new.destination.channel().name())
        .bind(new.destination.to_string())
        .bind(encryption.encrypt(new.id, settings.expose_secret(), random))
        .bind(&new.event_types)
        .fetch_optional(Unnamed(connection))
        .await?;
    Ok(match added {
        Some(true) => Added::Yes,
        Some(false) => Added::NameTaken,
        None => Added::NoSuchScope,
    })
}

pub async fn disable(
    connection: &mut Transaction<'_>,
    name: &str,
    reason: &str,
) -> Result<Change, sqlx::Error> {
    change(
        connection,
        include_str!("store/disable.sql"),
        name,
        Some(reason),
    )
    .await
}

/// Enables an endpoint, and resets its circuit breaker.
pub async fn enable(connection: &mut Transaction<'_>, name: &str) -> Result<Change, sqlx::Error> {
    change(connection, include_str!("store/enable.sql"), name, None).await
}

pub async fn remove(connection: &mut Transaction<'_>, name: &str) -> Result<Change, sqlx::Error> {
    change(connection, include_str!("store/remove.sql"), name, None).await
}

pub async fn disable_route(
    connection: &mut Transaction<'_>,
    name: &str,
    reason: &str,
) -> Result<Change, sqlx::Error> {
    change(
        connection,
        include_str!("store/disable_route.sql"),
        name,
        Some(reason),
    )
    .await
}

/// Enables a route, and resets its circuit breaker.
pub async fn enable_route(
    connection: &mut Transaction<'_>,
    name: &str,
) -> Result<Change, sqlx::Error> {
    change(
        connection,
        include_str!("store/enable_route.sql"),
        name,
        None,
    )
    .await
}

async fn change(
    connection: &mut Transaction<'_>,
    statement: &'static str,
    name: &str,
    reason: Option<&str>,
) -> Result<Change, sqlx::Error> {
    let mut query = sqlx::query_as(statement).bind(name);
    if let Some(reason) = reason {
        query = query.bind(reason);
    }
    let (is_done, is_there, cancelled): (bool, bool, i64) =
        query.fetch_one(Unnamed(connection)).await?;
    Ok(match (is_done, is_there) {
        (true, _) => Change::Done {
            cancelled: cancelled.unsigned_abs(),
        },
        (false, true) => Change::Already,
        (false, false) => Change::Unknown,
    })
}

/// Those of these routes that are disabled.
pub async fn disabled_routes(
    connection: &mut Transaction<'_>,
    names: &[String],
) -> Result<HashMap<String, Disabled>, sqlx::Error> {
    let rows: Vec<(String, Option<String>, _)> = sqlx::query_as(
        "SELECT name, disabled_reason, disabled_at FROM unnest($1::text[]) AS name \
         JOIN notification_delivery_targets ON target IN (name, 'env:' || split_part(name, ':', 2)) \
         WHERE disabled_at IS NOT NULL",
    )
    .bind(names)
    .fetch_all(Unnamed(connection))
    .await?;
    let disabled = rows
        .into_iter()
        .map(|(target, reason, at)| (target, Disabled { reason, at }));
    Ok(disabled.collect())
}

/// Stores the settings of an endpoint whose row is locked.
pub async fn replace(
    connection: &mut Transaction<'_>,
    id: Uuid,
    destination: &Destination,
    encryption: &Encryption,
    random: &mut impl CryptoRng,
) -> Result<(), sqlx::Error> {
    let settings = encryption.encrypt(id, destination.settings().expose_secret(), random);
    write(connection, &[id], &[settings]).await
}

/// Encrypts all settings with the first key.
pub async fn rotate_key(
    connection: &mut Transaction<'_>,
    encryption: &Encryption,
    random: &mut impl CryptoRng,
) -> Result<KeyRotation, sqlx::Error> {
    let mut report = KeyRotation::default();
    let (mut ids, mut encrypted) = (Vec::new(), Vec::new());
    for Stored { endpoint, settings } in
        stored(connection, "$1 ORDER BY id FOR UPDATE", true).await?
    {
        match encryption.decrypt(endpoint.id, settings.expose_secret()) {
            Ok(opened) if opened.form == StoredForm::Encrypted => report.unchanged_count += 1,
            Ok(opened) => {
                ids.push(endpoint.id);
                encrypted.push(encryption.encrypt(
                    endpoint.id,
                    opened.settings.expose_secret(),
                    random,
                ));
                report.resealed_count += 1;
            }
            Err(_) => report.unreadable.push(endpoint.name),
        }
    }
    write(connection, &ids, &encrypted).await?;
    report.unreadable.sort_unstable();
    Ok(report)
}

async fn write(
    connection: &mut Transaction<'_>,
    ids: &[Uuid],
    settings: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("store/write.sql"))
        .bind(ids)
        .bind(settings)
        .execute(Unnamed(connection))
        .await?;
    Ok(())
}
