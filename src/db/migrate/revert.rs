//! Takes all of the service out of a database again, so that an older job can go on.

use sqlx::AssertSqlSafe;

use super::{MigrationFailed, TABLE, backend, exclusively, is_there, made, with_retries};
use crate::db::contract::read_only;
use crate::db::watch::Work;
use crate::db::{Access, Session, Transaction, Unnamed, objects};

const DROP_TABLE: &str = "DROP TABLE IF EXISTS ";

/// What is taken out, and what that means.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Revert {
    /// In order.
    pub takes_out: Vec<String>,
    /// Tables that migrate made and the application has filled: they stay.
    pub keeps: Vec<String>,
    pub loses: Vec<String>,
    #[serde(skip)]
    statements: Vec<String>,
}

/// Looks what a revert would do, and changes nothing.
pub async fn plan_revert(session: &mut Session) -> Result<Revert, MigrationFailed> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    transaction.command(super::BESIDE_THE_EVENTS).await?;
    let plan = plan(&mut transaction).await?;
    transaction.rollback().await?;
    Ok(plan)
}

/// Takes it out, in one transaction.
pub async fn revert(session: &mut Session) -> Result<Revert, MigrationFailed> {
    with_retries(session, async |session| {
        let database = session.database.clone();
        let mut transaction = exclusively(session).await?;
        let plan = plan(&mut transaction).await?;
        let work = Work::Transaction(backend(&mut transaction).await?);
        for statement in &plan.statements {
            let statement = sqlx::raw_sql(AssertSqlSafe(statement.clone()));
            let executing = statement.execute(&mut *transaction.inner);
            database.watched(work, executing).await?;
        }
        transaction.commit().await?;
        Ok(plan)
    })
    .await
}

async fn plan(transaction: &mut Transaction<'_>) -> Result<Revert, MigrationFailed> {
    if !is_there(transaction, TABLE).await? {
        return Ok(Revert::default());
    }
    if !is_there(transaction, made::TABLE).await? {
        return Err(MigrationFailed::NotRecorded);
    }
    let mut plan = Revert::default();
    for (label, statement) in objects::removal(transaction).await? {
        plan.takes_out.push(label);
        plan.statements.push(statement);
    }
    let undo = made::undo(transaction).await?;
    let is_recorded = |part: &str| undo.iter().any(|undo| undo.what.ends_with(part));
    if is_recorded("notification_processing.occurred_at") {
        plan.statements.push(QUEUE_BACK.to_owned());
    }
    if is_recorded("pending_emails.delivery_id") {
        plan.statements.push(MAILS_BACK.to_owned());
    }
    plan.loses = losses(transaction).await?;
    let mut tables = vec![made::TABLE.to_owned(), TABLE.to_owned()];
    for undo in undo {
        let Some(table) = undo.undo.strip_prefix(DROP_TABLE) else {
            plan.takes_out.push(undo.what);
            plan.statements.push(undo.undo);
            continue;
        };
        if is_filled(transaction, table).await? {
            plan.keeps.push(table.to_owned());
        } else {
            plan.takes_out.push(undo.what);
            tables.push(table.to_owned());
        }
    }
    // Together, as one refers to another; before the sequences that they draw from, which come last.
    let sequences = plan
        .statements
        .iter()
        .position(|statement| statement.starts_with("DROP SEQUENCE"))
        .unwrap_or(plan.statements.len());
    let tables = format!("{DROP_TABLE}{}", tables.join(", "));
    plan.statements.insert(sequences, tables);
    Ok(plan)
}

/// An older job looks for events without a row: what waits is without one again, and so is what was too
/// old when this job was adopted.
const QUEUE_BACK: &str = "DELETE FROM notification_processing
 WHERE occurred_at IS NOT NULL
   AND (processing_status IN ('pending', 'processing')
        OR error_message = 'expired: older than the age limit when the job was adopted')";

/// Mails that were queued for delivery, and not sent, wait for an older mailer again.
const MAILS_BACK: &str = "UPDATE pending_emails SET status = 'pending'
 WHERE status = 'processing'
   AND delivery_id IN (SELECT id FROM notification_deliveries WHERE status = 'pending')";

/// Whether a table holds what the application wrote. Where migrate made one, it goes only while it is
/// empty.
async fn is_filled(transaction: &mut Transaction<'_>, table: &str) -> Result<bool, sqlx::Error> {
    let name = table.rsplit('.').next().unwrap_or(table);
    let is_of_the_application = name == "domain_events" || read_only().any(|known| known == name);
    if !is_of_the_application || !is_there(transaction, table).await? {
        return Ok(false);
    }
    let query = format!("SELECT EXISTS (SELECT FROM {table})");
    sqlx::query_scalar(AssertSqlSafe(query))
        .fetch_one(Unnamed(transaction))
        .await
}

async fn losses(transaction: &mut Transaction<'_>) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count || ' ' || what AS "loss!"
           FROM (SELECT count(*), 'deliveries to endpoints and phones that were not sent' AS what
                   FROM notification_deliveries WHERE status IN ('pending', 'sending') AND channel <> 'email'
                 UNION ALL SELECT count(*), 'endpoints' FROM notification_endpoints
                 UNION ALL SELECT count(*), 'rows of the delivery history' FROM notification_deliveries) AS lost
          WHERE count > 0"#,
    )
    .fetch_all(Unnamed(transaction))
    .await
}
