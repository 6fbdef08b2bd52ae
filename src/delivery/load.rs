//! Reads the contents and recipients of leased deliveries, and whether each is still wanted.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use uuid::Uuid;

use super::DeliverySettings;
use super::lease::Leased;
use super::people::{People, Person};
use crate::channels::Channel;
use crate::db::{Transaction, Unnamed};

/// Why an e-mail is no longer wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(super) enum Unwanted {
    Muted,
    Read,
    /// Its notification was deleted.
    Gone,
}

/// A row of `pending_emails`.
#[derive(Debug)]
pub(super) struct EmailRow {
    pub(super) id: i64,
    pub(super) delivery_id: Option<i64>,
    pub(super) user_id: Uuid,
    pub(super) event_type: String,
    pub(super) subject: String,
    /// JSON, as text: PostgreSQL stores numbers and depths that no double and no stack takes.
    pub(super) body_data: String,
    pub(super) project_id: Option<Uuid>,
    pub(super) project_name: Option<String>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) unwanted: Option<Unwanted>,
    /// Whether it was read after an attempt that may have delivered it.
    pub(super) is_read_since: bool,
}

/// The present state of an endpoint.
#[derive(Debug)]
pub(super) struct EndpointRow {
    pub(super) id: Uuid,
    pub(super) channel: String,
    /// Perhaps encrypted.
    pub(super) settings: SecretString,
    pub(super) enabled: bool,
    pub(super) disabled_reason: Option<String>,
}

/// What a batch of leases needs.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// By delivery.
    pub(super) mails: HashMap<i64, Vec<EmailRow>>,
    pub(super) people: HashMap<Uuid, Person>,
    /// Text messages that their recipients have muted.
    pub(super) muted: HashSet<i64>,
    pub(super) endpoints: HashMap<Uuid, EndpointRow>,
    /// Routes of the environment that were disabled, and why.
    pub(super) disabled_routes: HashMap<String, String>,
}

/// Reads it in one statement per table.
pub(super) async fn load(
    connection: &mut Transaction<'_>,
    settings: &DeliverySettings,
    people: &People,
    leased: &[Leased],
) -> Result<Loaded, sqlx::Error> {
    let mut loaded = Loaded::default();
    let for_people = leased.iter().filter(|one| one.user_id.is_some());
    let deliveries: Vec<i64> = for_people
        .clone()
        .filter(|one| one.channel == Channel::Email)
        .map(|one| one.id)
        .collect();
    if !deliveries.is_empty() {
        for mail in mails(connection, settings, &deliveries, &[]).await? {
            if let Some(delivery_id) = mail.delivery_id {
                loaded.mails.entry(delivery_id).or_default().push(mail);
            }
        }
        loaded.mails.values_mut().for_each(|mails| repeat(mails));
    }
    let texts: Vec<&Leased> = for_people
        .clone()
        .filter(|one| one.channel == Channel::Sms)
        .collect();
    if !texts.is_empty() {
        let ids: Vec<i64> = texts.iter().map(|one| one.id).collect();
        let users: Vec<Uuid> = texts.iter().filter_map(|one| one.user_id).collect();
        let types: Vec<String> = texts.iter().map(|one| one.event_type.clone()).collect();
        let muted = sqlx::query_file_scalar!("src/delivery/muted.sql", &ids, &users, &types)
            .fetch_all(Unnamed(&mut *connection))
            .await?;
        loaded.muted = muted.into_iter().collect();
    }
    let ids: Vec<Uuid> = for_people.filter_map(|one| one.user_id).collect();
    loaded.people = people.read(connection, &ids).await?;

    let ids: Vec<Uuid> = leased.iter().filter_map(|one| one.endpoint_id).collect();
    if !ids.is_empty() {
        let rows = sqlx::query_file!("src/delivery/endpoints.sql", &ids)
            .fetch_all(Unnamed(&mut *connection))
            .await?;
        let rows = rows.into_iter().map(|row| EndpointRow {
            id: row.id,
            channel: row.channel,
            settings: row.settings.into(),
            enabled: row.enabled,
            disabled_reason: row.disabled_reason,
        });
        loaded.endpoints = rows.map(|row| (row.id, row)).collect();
    }
    let routes: Vec<String> = leased
        .iter()
        .filter(|one| one.user_id.is_none() && one.endpoint_id.is_none())
        .map(|one| one.recipient.clone())
        .collect();
    if !routes.is_empty() {
        let rows = sqlx::query_file!("src/delivery/routes.sql", &routes)
            .fetch_all(Unnamed(connection))
            .await?;
        loaded.disabled_routes = rows
            .into_iter()
            .map(|row| (row.target, row.reason))
            .collect();
    }
    Ok(loaded)
}

/// A digest that may have arrived is sent again unchanged, so that its key stays the same: what was read
/// since stays in it, unless nothing else is left.
fn repeat(mails: &mut [EmailRow]) {
    if mails.iter().any(|mail| mail.unwanted.is_none()) {
        let read = |mail: &&mut EmailRow| mail.unwanted == Some(Unwanted::Read);
        for mail in mails
            .iter_mut()
            .filter(|mail| mail.is_read_since)
            .filter(read)
        {
            mail.unwanted = None;
        }
    }
}

/// The e-mails of these deliveries, and those with these ids.
pub(super) async fn mails(
    connection: &mut Transaction<'_>,
    settings: &DeliverySettings,
    deliveries: &[i64],
    mails: &[i64],
) -> Result<Vec<EmailRow>, sqlx::Error> {
    sqlx::query_file_as!(
        EmailRow,
        "src/delivery/emails.sql",
        deliveries,
        mails,
        settings.mute_covers_email
    )
    .fetch_all(Unnamed(connection))
    .await
}
