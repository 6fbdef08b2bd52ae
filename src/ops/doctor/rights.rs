//! Checks the privileges of the role, and row-level security.

use super::{Finding, Findings, required_privileges, said};
use crate::db::{ErrorClass, Transaction, Unnamed, sqlstate};

/// The required privileges, one by one.
pub(super) async fn check(connection: &mut Transaction<'_>) -> Findings {
    let needed = required_privileges::by_column();
    let lacking = sqlx::query_file!(
        "src/ops/doctor/rights.sql",
        &needed.relations,
        &needed.kinds,
        &needed.columns,
        &needed.are_writes
    )
    .fetch_all(Unnamed(&mut *connection))
    .await?;
    let own = sqlx::query_file!("src/ops/doctor/role.sql")
        .fetch_one(Unnamed(connection))
        .await?;
    let prune = if own.may_prune {
        "; prune too"
    } else {
        "; not to prune (grants.sql -v prune=1)"
    };
    if lacking.is_empty() {
        return Ok(vec![Finding::ok(
            "rights",
            format!("all that run, deliver, retry, explain and status need{prune}"),
        )]);
    }
    let found: Vec<_> = lacking
        .iter()
        .map(|right| format!("no {} on {}", right.privilege, right.object))
        .collect();
    let reads_all = lacking.iter().all(|right| right.is_write);
    let writes_lacking = lacking
        .iter()
        .filter(|right| right.privilege != "USAGE" && !right.has_part)
        .count();
    Ok(vec![
        if reads_all && writes_lacking == required_privileges::writes().count() {
            Finding::warn(
                "rights",
                "the role may read everything needed, and write nothing",
                "enough for dry runs, explain and status; run, deliver and retry need the role of scripts/grants.sql",
            )
        } else {
            Finding::problem(
                "rights",
                found.join("; "),
                format!(
                    "as the tables' owner: psql -d DATABASE -v role='{}' -f scripts/grants.sql",
                    own.role
                ),
            )
        },
    ])
}

/// Whether the optional columns of profiles, where they exist, can be read.
pub(super) async fn optional(connection: &mut Transaction<'_>) -> Findings {
    let unreadable: Vec<String> = sqlx::query_scalar(
        "SELECT attname::text FROM pg_attribute
          WHERE attrelid = to_regclass('profiles') AND attname IN ('time_zone', 'phone')
            AND NOT attisdropped AND NOT has_column_privilege(attrelid, attnum, 'SELECT')
          ORDER BY 1",
    )
    .fetch_all(Unnamed(connection))
    .await?;
    if unreadable.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![Finding::problem(
        "optional columns",
        format!(
            "profiles has {}, and the role may not read it",
            unreadable.join(" and ")
        ),
        "deliver reads it where it exists: run scripts/grants.sql again",
    )])
}

/// Tables of which the role would silently see only a part.
pub(super) async fn row_level_security(connection: &mut Transaction<'_>) -> Findings {
    const NAME: &str = "row level security";
    let rows = sqlx::query_file!(
        "src/ops/doctor/policies.sql",
        &required_privileges::relations()
    )
    .fetch_all(Unnamed(connection))
    .await?;
    let hidden: Vec<_> = rows
        .iter()
        .filter(|row| row.hides_rows)
        .map(|row| row.relation.as_str())
        .collect();
    let refused: Vec<_> = rows
        .iter()
        .filter(|row| row.refuses_rows)
        .map(|row| row.relation.as_str())
        .collect();
    let opaque: Vec<_> = rows
        .iter()
        .filter(|row| row.is_opaque)
        .map(|row| row.relation.as_str())
        .collect();
    let mut checks = Vec::new();
    if !hidden.is_empty() {
        checks.push(Finding::problem(
            NAME,
            format!("hides rows of {} from the role; recipients would be missed", hidden.join(", ")),
            "give the role a policy that shows all rows: scripts/grants.sql; a restrictive policy of \
             the application must exempt the role",
        ));
    }
    if !refused.is_empty() {
        checks.push(Finding::problem(
            NAME,
            format!(
                "refuses rows that the role writes to {}",
                refused.join(", ")
            ),
            "give the role a policy WITH CHECK (true): scripts/grants.sql",
        ));
    }
    if !opaque.is_empty() {
        checks.push(Finding::warn(
            NAME,
            format!(
                "unknown behind views with security_invoker: {}",
                opaque.join(", ")
            ),
            "check that their tables show the role all rows",
        ));
    }
    if checks.is_empty() {
        let active = rows.iter().filter(|row| row.is_active).count();
        checks.push(Finding::ok(
            NAME,
            match active {
                0 => "does not apply to the role".to_owned(),
                _ => format!("policies show the role all rows of the {active} tables that have it"),
            },
        ));
    }
    Ok(checks)
}

/// Whether `can_view` answers, with all that it reads itself.
pub(super) async fn can_view(connection: &mut Transaction<'_>) -> Findings {
    const NAME: &str = "can_view";
    let answer = sqlx::query_file_scalar!("src/ops/doctor/can_view.sql")
        .fetch_one(Unnamed(connection))
        .await;
    Ok(vec![match answer {
        Ok(_) => Finding::ok(NAME, "answers"),
        Err(error) if ErrorClass::of(&error) == ErrorClass::Unreachable => return Err(error),
        Err(error) => match sqlstate(&error).as_deref() {
            Some("25006") => Finding::warn(
                NAME,
                "writes, which a dry run, explain and this check may not",
                "let the function only read",
            ),
            Some("42501") => Finding::problem(
                NAME,
                format!("fails: {}", said(&error)),
                "it reads with the rights of its caller: grant the role what it reads, or make it SECURITY DEFINER",
            ),
            _ => Finding::problem(
                NAME,
                format!("fails: {}", said(&error)),
                "document_uploaded events fail until this is fixed",
            ),
        },
    }])
}
