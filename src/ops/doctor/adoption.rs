//! What an adoption would find in a database that was not migrated yet.

use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::{Examination, Finding, Findings, columns};
use crate::db::contract::{declared_empty, listed, read_only, violations, ways_out};
use crate::db::migrate::{foreign, owners};
use crate::db::{Session, Transaction, Unnamed};

/// Looks, and changes nothing.
pub async fn adoption(session: &mut Session, max_event_age: Duration) -> Findings {
    let mut examination = Examination::new(session);
    examination.check("columns", contract).await?;
    examination.check("tables", missing).await?;
    examination.check("columns", columns::required).await?;
    examination.check("privileges", privileges).await?;
    examination.check("functions", names).await?;
    examination.check("older job", older_job).await?;
    let unqueued =
        async |transaction: &mut Transaction<'_>| unqueued(transaction, max_event_age).await;
    examination.check("events", unqueued).await?;
    for table in ["notifications", "pending_emails"] {
        let doubled = async |transaction: &mut Transaction<'_>| doubled(transaction, table).await;
        examination.check("duplicates", doubled).await?;
    }
    Ok(examination.findings)
}

async fn contract(transaction: &mut Transaction<'_>) -> Findings {
    let violations = violations(transaction).await?;
    Ok(vec![if violations.is_empty() {
        Finding::ok("the tables that exist have the columns that are read")
    } else {
        Finding::problem(listed(&violations), ways_out(&violations))
    }])
}

async fn missing(transaction: &mut Transaction<'_>) -> Findings {
    let all: Vec<_> = read_only().map(str::to_owned).collect();
    let missing = sqlx::query_scalar!(
        r#"SELECT name AS "name!" FROM unnest($1::text[]) WITH ORDINALITY AS t (name, no)
            WHERE to_regclass(name) IS NULL ORDER BY no"#,
        &all
    )
    .fetch_all(Unnamed(transaction))
    .await?;
    if missing.is_empty() || missing.len() == all.len() {
        return Ok(Vec::new());
    }
    let views: Vec<_> = missing
        .iter()
        .map(|name| declared_empty("", name))
        .collect();
    Ok(vec![Finding::warn(
        format!(
            "missing, and created empty by migrate: {}",
            missing.join(", ")
        ),
        format!(
            "to do without such a table, declare it before migrate:\n{}",
            views.join("\n")
        ),
    )])
}

async fn privileges(transaction: &mut Transaction<'_>) -> Findings {
    let owners = owners(transaction).await?;
    Ok(vec![if owners.is_empty() {
        Finding::ok("the role may migrate")
    } else {
        Finding::problem(
            owners.join("; "),
            "run migrate as the owner or a superuser, or ask who can",
        )
    }])
}

async fn names(transaction: &mut Transaction<'_>) -> Findings {
    let functions = foreign(transaction).await?.into_iter();
    let mut stay: Vec<_> = functions.map(|name| format!("function {name}")).collect();
    stay.extend(
        sqlx::query_scalar!(
            r#"SELECT 'trigger ' || tgname || ' on ' || tgrelid::regclass AS "trigger!" FROM pg_trigger
                WHERE tgrelid IN (to_regclass('domain_events'), to_regclass('notifications'))
                  AND NOT tgisinternal AND tgname NOT LIKE 'notify\_fan\_out\_%' ORDER BY 1"#
        )
        .fetch_all(Unnamed(transaction))
        .await?,
    );
    Ok(if stay.is_empty() {
        Vec::new()
    } else {
        let stay = stay.join(", ");
        vec![Finding::ok(format!(
            "belong to the application and stay as they are: {stay}"
        ))]
    })
}

async fn is_there(transaction: &mut Transaction<'_>, table: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT to_regclass($1) IS NOT NULL AS "is_there!""#,
        table
    )
    .fetch_one(Unnamed(transaction))
    .await
}

async fn older_job(transaction: &mut Transaction<'_>) -> Findings {
    if !is_there(transaction, "notification_processing").await? {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_scalar!(
        r#"SELECT coalesce(processing_status::text, 'NULL') || ' ' || count(*) AS "rows!"
             FROM notification_processing GROUP BY processing_status ORDER BY 1"#
    )
    .fetch_all(Unnamed(transaction))
    .await?;
    Ok(if rows.is_empty() {
        Vec::new()
    } else {
        vec![Finding::warn(
            format!("its rows in notification_processing: {}", rows.join(", ")),
            "stop that job before migrate: this job then processes what is pending or processing",
        )]
    })
}

/// Events that would get a row.
async fn unqueued(transaction: &mut Transaction<'_>, max_event_age: Duration) -> Findings {
    if !is_there(transaction, "domain_events").await? {
        return Ok(Vec::new());
    }
    let mut times = sqlx::query_scalar!(
        r#"SELECT attname::text AS "name!" FROM pg_attribute
            WHERE attrelid = to_regclass('domain_events') AND attname IN ('occurred_at', 'created_at')
              AND NOT attisdropped ORDER BY attname DESC"#
    )
    .fetch_all(Unnamed(transaction))
    .await?;
    times.push("now()".to_owned());
    let occurred = format!("coalesce({})", times.join(", "));
    let missing = if is_there(transaction, "notification_processing").await? {
        "NOT EXISTS (SELECT FROM notification_processing p WHERE p.event_id = e.id)"
    } else {
        "true"
    };
    let query = format!(
        "SELECT count(*), count(*) FILTER (WHERE {occurred} < now() - make_interval(secs => $1))
           FROM domain_events e WHERE {missing}"
    );
    let (all, late): (i64, i64) = sqlx::query_as(AssertSqlSafe(query))
        .bind(max_event_age.as_secs_f64())
        .fetch_one(Unnamed(transaction))
        .await?;
    let found = format!(
        "{all} have no processing row: {} would become pending, {late} failed (expired)",
        all - late
    );
    Ok(vec![Finding::ok(found)])
}

async fn doubled(transaction: &mut Transaction<'_>, table: &str) -> Findings {
    if !is_there(transaction, table).await? {
        return Ok(Vec::new());
    }
    let query = format!(
        "SELECT count(*) FROM (SELECT FROM {table} GROUP BY event_id, user_id HAVING count(*) > 1) AS pair"
    );
    let pairs: i64 = sqlx::query_scalar(AssertSqlSafe(query))
        .fetch_one(Unnamed(transaction))
        .await?;
    Ok(if pairs == 0 {
        Vec::new()
    } else {
        let found = format!(
            "{pairs} pairs of event and person have several rows in {table}: they stay, and new ones are kept unique"
        );
        vec![Finding::ok(found)]
    })
}
