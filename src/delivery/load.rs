//! Reads the contents and recipients of leased deliveries, and whether each is still wanted.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use uuid::Uuid;

use super::DeliverySettings;
use super::leased::Leased;
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
    let (for_people, for_endpoints): (Vec<&Leased>, Vec<&Leased>) =
        leased.iter().partition(|one| one.user_id.is_some());
    loaded.mails = mails_of(connection, settings, &for_people).await?;
    loaded.muted = muted(connection, &for_people).await?;
    let ids: Vec<Uuid> = for_people.iter().filter_map(|one| one.user_id).collect();
    loaded.people = people.read(connection, &ids).await?;

    let ids = for_endpoints.iter().filter_map(|one| one.endpoint_id);
    let ids: Vec<Uuid> = ids.collect();
    if !ids.is_empty() {
        let rows = sqlx::query_file_as!(EndpointRow, "src/delivery/endpoints.sql", &ids)
            .fetch_all(Unnamed(&mut *connection))
            .await?;
        loaded.endpoints = rows.into_iter().map(|row| (row.id, row)).collect();
    }
    let routes = for_endpoints.iter().filter(|one| one.endpoint_id.is_none());
    let routes: Vec<String> = routes.map(|one| one.recipient.clone()).collect();
    if !routes.is_empty() {
        let rows = sqlx::query_file!("src/delivery/routes.sql", &routes)
            .fetch_all(Unnamed(connection))
            .await?;
        let disabled = rows.into_iter().map(|row| (row.target, row.reason));
        loaded.disabled_routes = disabled.collect();
    }
    Ok(loaded)
}

async fn mails_of(
    connection: &mut Transaction<'_>,
    settings: &DeliverySettings,
    leased: &[&Leased],
) -> Result<HashMap<i64, Vec<EmailRow>>, sqlx::Error> {
    let of_emails = leased.iter().filter(|one| one.channel == Channel::Email);
    let deliveries: Vec<i64> = of_emails.map(|one| one.id).collect();
    let mut by_delivery: HashMap<i64, Vec<EmailRow>> = HashMap::new();
    if !deliveries.is_empty() {
        for mail in mails(connection, settings, &deliveries, &[]).await? {
            if let Some(delivery_id) = mail.delivery_id {
                by_delivery.entry(delivery_id).or_default().push(mail);
            }
        }
    }
    for mails in by_delivery.values_mut() {
        repeat(mails);
    }
    Ok(by_delivery)
}

/// A digest that may have arrived is sent again unchanged, so that its key stays the same: what was read
/// since stays in it, unless nothing else is left.
fn repeat(mails: &mut [EmailRow]) {
    if mails.iter().any(|mail| mail.unwanted.is_none()) {
        for mail in mails.iter_mut().filter(|mail| mail.is_read_since) {
            mail.unwanted.take_if(|why| *why == Unwanted::Read);
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

/// The text messages that their recipients have muted.
async fn muted(
    connection: &mut Transaction<'_>,
    leased: &[&Leased],
) -> Result<HashSet<i64>, sqlx::Error> {
    let texts = || leased.iter().filter(|one| one.channel == Channel::Sms);
    let ids: Vec<i64> = texts().map(|one| one.id).collect();
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let users: Vec<Uuid> = texts().filter_map(|one| one.user_id).collect();
    let types: Vec<String> = texts().map(|one| one.event_type.clone()).collect();
    let muted = sqlx::query_file_scalar!("src/delivery/muted.sql", &ids, &users, &types)
        .fetch_all(Unnamed(connection))
        .await?;
    Ok(muted.into_iter().collect())
}
