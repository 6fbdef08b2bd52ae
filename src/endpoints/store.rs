//! The rows of `notification_endpoints`, and what operators do to them. Disabling or removing an endpoint
//! cancels its pending deliveries in the same statement.

use std::collections::HashMap;

use rand::CryptoRng;
use secrecy::ExposeSecret;
use serde::Serialize;
use sqlx::{AssertSqlSafe, FromRow};
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

#[derive(Debug, FromRow)]
pub struct Change {
    pub is_known: bool,
    pub changed: bool,
    /// Its deliveries that were pending.
    pub cancelled_count: i64,
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

const COLUMNS: &str = "name, id, 'table' AS source, channel, target, scope, scope_id, event_types, \
                       enabled, disabled_reason, disabled_at, created_at";

/// All of them, by name, without their settings.
pub async fn list(connection: &mut Transaction<'_>) -> Result<Vec<Endpoint>, sqlx::Error> {
    let query = format!("SELECT {COLUMNS} FROM notification_endpoints ORDER BY name");
    let query = sqlx::query_as(AssertSqlSafe(query));
    query.fetch_all(Unnamed(connection)).await
}

pub async fn find(
    connection: &mut Transaction<'_>,
    name: &str,
) -> Result<Option<Stored>, sqlx::Error> {
    Ok(stored(connection, "name = $1", name).await?.pop())
}

/// As [`find`], and locks it until the end of the transaction.
pub async fn find_locked(
    connection: &mut Transaction<'_>,
    name: &str,
) -> Result<Option<Stored>, sqlx::Error> {
    let mut found = stored(connection, "name = $1 FOR UPDATE", name).await?;
    Ok(found.pop())
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
    let query = sqlx::query_as(AssertSqlSafe(query)).bind(value);
    query.fetch_all(Unnamed(connection)).await
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
    let query = sqlx::query_as(include_str!("store/disable.sql"));
    let query = query.bind(name).bind(reason);
    query.fetch_one(Unnamed(connection)).await
}

/// Enables an endpoint, and resets its circuit breaker.
pub async fn enable(connection: &mut Transaction<'_>, name: &str) -> Result<Change, sqlx::Error> {
    let query = sqlx::query_as(include_str!("store/enable.sql")).bind(name);
    query.fetch_one(Unnamed(connection)).await
}

pub async fn remove(connection: &mut Transaction<'_>, name: &str) -> Result<Change, sqlx::Error> {
    let query = sqlx::query_as(include_str!("store/remove.sql")).bind(name);
    query.fetch_one(Unnamed(connection)).await
}

pub async fn disable_route(
    connection: &mut Transaction<'_>,
    name: &str,
    reason: &str,
) -> Result<Change, sqlx::Error> {
    let query = sqlx::query_as(include_str!("store/disable_route.sql"));
    let query = query.bind(name).bind(reason);
    query.fetch_one(Unnamed(connection)).await
}

/// Enables a route, and resets its circuit breaker.
pub async fn enable_route(
    connection: &mut Transaction<'_>,
    name: &str,
) -> Result<Change, sqlx::Error> {
    let query = sqlx::query_as(include_str!("store/enable_route.sql")).bind(name);
    query.fetch_one(Unnamed(connection)).await
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
    let all = stored(connection, "$1 ORDER BY id FOR UPDATE", true).await?;
    for row in all {
        match encryption.decrypt(row.id, row.settings.expose_secret()) {
            Ok(opened) if opened.form == StoredForm::Encrypted => report.unchanged_count += 1,
            Ok(opened) => {
                let settings = opened.settings.expose_secret();
                encrypted.push(encryption.encrypt(row.id, settings, random));
                ids.push(row.id);
                report.resealed_count += 1;
            }
            Err(_) => report.unreadable.push(row.endpoint.name),
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
