//! What the role may do, and what it may see.

use super::{Check, Findings, needs, said};
use crate::db::{ErrorClass, Transaction, Unnamed, sqlstate};

/// The rights that the statements need, one by one.
pub(super) async fn check(connection: &mut Transaction<'_>) -> Findings {
    let needed = needs::rights();
    let lacking = sqlx::query_file!(
        "src/ops/doctor/rights.sql",
        &needed.relations,
        &needed.privileges,
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
        return Ok(vec![Check::ok(
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
    Ok(vec![if reads_all && writes_lacking == needs::writes() {
        Check::warn(
            "rights",
            "the role may read all that is needed, and write nothing",
            "that is right for dry runs, explain and status; run, deliver and retry need the role of scripts/grants.sql",
        )
    } else {
        Check::problem(
            "rights",
            found.join("; "),
            format!(
                "as the tables' owner: psql -d DATABASE -v role='{}' -f scripts/grants.sql",
                own.role
            ),
        )
    }])
}

/// Whether what people may have, and need not, can be read where it is.
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
    Ok(vec![Check::problem(
        "optional columns",
        format!(
            "profiles has {}, and the role may not read it",
            unreadable.join(" and ")
        ),
        "deliver reads what is there: run scripts/grants.sql again",
    )])
}

/// Tables of which the role would silently be shown only a part.
pub(super) async fn row_level_security(connection: &mut Transaction<'_>) -> Findings {
    const NAME: &str = "row level security";
    let rows = sqlx::query_file!("src/ops/doctor/policies.sql", &needs::relations())
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
        checks.push(Check::problem(
            NAME,
            format!("hides rows of {} from the role without a word: people would be passed over", hidden.join(", ")),
            "a policy for the role that shows all: scripts/grants.sql makes it; a restrictive policy of \
             the application has to make an exception of the role",
        ));
    }
    if !refused.is_empty() {
        checks.push(Check::problem(
            NAME,
            format!(
                "refuses rows that the role writes to {}",
                refused.join(", ")
            ),
            "a policy for the role, WITH CHECK (true): scripts/grants.sql makes it",
        ));
    }
    if !opaque.is_empty() {
        checks.push(Check::warn(
            NAME,
            format!(
                "can't be judged behind views that have their caller's rights: {}",
                opaque.join(", ")
            ),
            "see that their tables show the role all rows",
        ));
    }
    if checks.is_empty() {
        let active = rows.iter().filter(|row| row.is_active).count();
        checks.push(Check::ok(
            NAME,
            match active {
                0 => "does not concern the role".to_owned(),
                _ => format!("policies show the role all rows of the {active} tables that have it"),
            },
        ));
    }
    Ok(checks)
}

/// Whether the application's function answers, with all that it reads itself.
pub(super) async fn can_view(connection: &mut Transaction<'_>) -> Findings {
    const NAME: &str = "can_view";
    let answer = sqlx::query_file_scalar!("src/ops/doctor/can_view.sql")
        .fetch_one(Unnamed(connection))
        .await;
    Ok(vec![match answer {
        Ok(_) => Check::ok(NAME, "answers"),
        Err(error) if ErrorClass::of(&error) == ErrorClass::Unreachable => return Err(error),
        Err(error) => match sqlstate(&error).as_deref() {
            Some("25006") => Check::warn(
                NAME,
                "writes, which a dry run, explain and this check may not",
                "let the function only read",
            ),
            Some("42501") => Check::problem(
                NAME,
                format!("fails: {}", said(&error)),
                "it reads with the rights of its caller: grant the role what it reads, or make it SECURITY DEFINER",
            ),
            _ => Check::problem(
                NAME,
                format!("fails: {}", said(&error)),
                "document_uploaded events fail for as long",
            ),
        },
    }])
}
