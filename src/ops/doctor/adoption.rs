//! What an adoption would find in a database that was not migrated yet.

use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::{Finding, Findings, columns, in_read_only};
use crate::db::contract::{declared_empty, listed, read_only, violations, ways_out};
use crate::db::migrate::{foreign, owners};
use crate::db::{Session, Transaction, Unnamed};

/// Looks, and changes nothing.
pub async fn adoption(session: &mut Session, max_event_age: Duration) -> Findings {
    let mut checks = in_read_only(session, "columns", contract).await?;
    checks.extend(in_read_only(session, "columns", columns::required).await?);
    checks.extend(in_read_only(session, "privileges", privileges).await?);
    checks.extend(in_read_only(session, "functions", names).await?);
    checks.extend(in_read_only(session, "older job", older_job).await?);
    let unqueued =
        async |transaction: &mut Transaction<'_>| unqueued(transaction, max_event_age).await;
    checks.extend(in_read_only(session, "events", unqueued).await?);
    for table in ["notifications", "pending_emails"] {
        let doubled = async |transaction: &mut Transaction<'_>| doubled(transaction, table).await;
        checks.extend(in_read_only(session, "duplicates", doubled).await?);
    }
    Ok(checks)
}

async fn contract(transaction: &mut Transaction<'_>) -> Findings {
    let violations = violations(transaction).await?;
    let mut checks = vec![if violations.is_empty() {
        Finding::ok(
            "columns",
            "the tables that exist have the columns that are read",
        )
    } else {
        let found = listed(&violations);
        Finding::problem("columns", found, ways_out(&violations))
    }];
    let all: Vec<_> = read_only().collect();
    let missing: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM unnest($1::text[]) WITH ORDINALITY AS t (name, no)
          WHERE to_regclass(name) IS NULL ORDER BY no",
    )
    .bind(&all)
    .fetch_all(Unnamed(transaction))
    .await?;
    if !missing.is_empty() && missing.len() < all.len() {
        let found = format!(
            "missing, and created empty by migrate: {}",
            missing.join(", ")
        );
        let views = missing.iter().map(|name| declared_empty("", name));
        let views: Vec<_> = views.collect();
        let advice = format!(
            "to do without such a table, declare it before migrate:\n{}",
            views.join("\n")
        );
        checks.push(Finding::warn("tables", found, advice));
    }
    Ok(checks)
}

async fn privileges(transaction: &mut Transaction<'_>) -> Findings {
    let owners = owners(transaction).await?;
    Ok(vec![if owners.is_empty() {
        Finding::ok("privileges", "the role may migrate")
    } else {
        Finding::problem(
            "privileges",
            owners.join("; "),
            "run migrate as the owner or a superuser, or ask who can",
        )
    }])
}

async fn names(transaction: &mut Transaction<'_>) -> Findings {
    let mut stay: Vec<_> = foreign(transaction)
        .await?
        .into_iter()
        .map(|name| format!("function {name}"))
        .collect();
    let triggers: Vec<String> = sqlx::query_scalar(
        "SELECT 'trigger ' || tgname || ' on ' || tgrelid::regclass FROM pg_trigger
          WHERE tgrelid IN (to_regclass('domain_events'), to_regclass('notifications'))
            AND NOT tgisinternal AND tgname NOT LIKE 'notify\\_fan\\_out\\_%' ORDER BY 1",
    )
    .fetch_all(Unnamed(transaction))
    .await?;
    stay.extend(triggers);
    Ok(if stay.is_empty() {
        Vec::new()
    } else {
        let found = format!(
            "belong to the application and stay as they are: {}",
            stay.join(", ")
        );
        vec![Finding::ok("functions", found)]
    })
}

async fn is_there(transaction: &mut Transaction<'_>, table: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(table)
        .fetch_one(Unnamed(transaction))
        .await
}

async fn older_job(transaction: &mut Transaction<'_>) -> Findings {
    if !is_there(transaction, "notification_processing").await? {
        return Ok(Vec::new());
    }
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT coalesce(processing_status::text, 'NULL') || ' ' || count(*)
           FROM notification_processing GROUP BY processing_status ORDER BY 1",
    )
    .fetch_all(Unnamed(transaction))
    .await?;
    Ok(if rows.is_empty() {
        Vec::new()
    } else {
        let found = format!("its rows in notification_processing: {}", rows.join(", "));
        let advice =
            "stop that job before migrate: this job then processes what is pending or processing";
        vec![Finding::warn("older job", found, advice)]
    })
}

/// Events that would get a row.
async fn unqueued(transaction: &mut Transaction<'_>, max_event_age: Duration) -> Findings {
    if !is_there(transaction, "domain_events").await? {
        return Ok(Vec::new());
    }
    let times: Vec<String> = sqlx::query_scalar(
        "SELECT attname::text FROM pg_attribute
          WHERE attrelid = to_regclass('domain_events') AND attname IN ('occurred_at', 'created_at')
            AND NOT attisdropped ORDER BY attname DESC",
    )
    .fetch_all(Unnamed(transaction))
    .await?;
    let occurred = format!(
        "coalesce({})",
        [times, vec!["now()".to_owned()]].concat().join(", ")
    );
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
    Ok(vec![Finding::ok("events", found)])
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
        vec![Finding::ok("duplicates", found)]
    })
}
