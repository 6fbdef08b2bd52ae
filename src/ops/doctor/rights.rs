//! Checks the privileges of the role, row-level security, `can_view`, and whether mutes cover e-mail.

use super::required_privileges::{REQUIRED, each, relations, writes_count};
use super::{Finding, Findings, said};
use crate::db::{ErrorClass, Transaction, Unnamed, sqlstate};

/// The required privileges, one by one.
pub(super) async fn check(connection: &mut Transaction<'_>) -> Findings {
    let writes: Vec<_> = REQUIRED.iter().map(|required| required.is_write).collect();
    let lacking = sqlx::query_file!(
        "src/ops/doctor/rights.sql",
        &each(|required| required.relation),
        &each(|required| required.privilege),
        &each(|required| required.column),
        &writes
    )
    .fetch_all(Unnamed(&mut *connection))
    .await?;
    let own = sqlx::query!(
        r#"SELECT current_user::text AS "role!",
                  coalesce(bool_and(has_table_privilege(to_regclass(t.name), 'DELETE')), false) AS "may_prune!"
             FROM unnest(ARRAY['notification_processing', 'notifications', 'pending_emails',
                               'notification_deliveries', 'notification_delivery_guards']) AS t (name)"#
    )
    .fetch_one(Unnamed(connection))
    .await?;
    if lacking.is_empty() {
        let prune = if own.may_prune {
            "; prune too"
        } else {
            "; not to prune (grants.sql -v prune=1)"
        };
        return Ok(vec![Finding::ok(format!(
            "all that run, deliver, retry, explain and status need{prune}"
        ))]);
    }
    let reads_all = lacking.iter().all(|right| right.is_write);
    let writes_lacking = lacking
        .iter()
        .filter(|right| !right.object.starts_with("sequence ") && !right.has_part)
        .count();
    Ok(vec![if reads_all && writes_lacking == writes_count() {
        Finding::warn(
            "the role may read everything needed, and write nothing",
            "enough for dry runs, explain and status; run, deliver and retry need the role of scripts/grants.sql",
        )
    } else {
        let found = lacking
            .iter()
            .map(|right| format!("no {} on {}", right.privilege, right.object));
        Finding::problem(
            found.collect::<Vec<_>>().join("; "),
            format!(
                "as the tables' owner: psql -d DATABASE -v role='{}' -f scripts/grants.sql",
                own.role
            ),
        )
    }])
}

/// Whether the optional columns of profiles, where they exist, can be read.
pub(super) async fn optional(connection: &mut Transaction<'_>) -> Findings {
    let unreadable = sqlx::query_scalar!(
        r#"SELECT string_agg(attname, ' and ' ORDER BY attname) FROM pg_attribute
            WHERE attrelid = to_regclass('profiles') AND attname IN ('time_zone', 'phone')
              AND NOT attisdropped AND NOT has_column_privilege(attrelid, attnum, 'SELECT')"#
    )
    .fetch_one(Unnamed(connection))
    .await?;
    let problem = unreadable.map(|names| {
        Finding::problem(
            format!("profiles has {names}, and the role may not read it"),
            "deliver reads it where it exists: run scripts/grants.sql again",
        )
    });
    Ok(problem.into_iter().collect())
}

/// Tables of which the role would silently see only a part.
pub(super) async fn row_level_security(connection: &mut Transaction<'_>) -> Findings {
    let rows = sqlx::query_file!("src/ops/doctor/policies.sql", &relations())
        .fetch_all(Unnamed(connection))
        .await?;
    let mut checks = Vec::new();
    let (mut hidden, mut refused, mut opaque) = (Vec::new(), Vec::new(), Vec::new());
    for row in &rows {
        for (is_so, names) in [
            (row.hides_rows, &mut hidden),
            (row.refuses_rows, &mut refused),
            (row.is_opaque, &mut opaque),
        ] {
            names.extend(is_so.then_some(row.relation.as_str()));
        }
    }
    if !hidden.is_empty() {
        checks.push(Finding::problem(
            format!(
                "hides rows of {} from the role; recipients would be missed",
                hidden.join(", ")
            ),
            "give the role a policy that shows all rows: scripts/grants.sql; a restrictive policy of \
             the application must exempt the role",
        ));
    }
    if !refused.is_empty() {
        checks.push(Finding::problem(
            format!(
                "refuses rows that the role writes to {}",
                refused.join(", ")
            ),
            "give the role a policy WITH CHECK (true): scripts/grants.sql",
        ));
    }
    if !opaque.is_empty() {
        checks.push(Finding::warn(
            format!(
                "unknown behind views with security_invoker: {}",
                opaque.join(", ")
            ),
            "check that their tables show the role all rows",
        ));
    }
    if checks.is_empty() {
        let active = rows.iter().filter(|row| row.is_active).count();
        checks.push(Finding::ok(match active {
            0 => "does not apply to the role".to_owned(),
            _ => format!("policies show the role all rows of the {active} tables that have it"),
        }));
    }
    Ok(checks)
}

/// Calls the application's rule as the job does, for whoever and whatever comes first: for many pairs
/// at once, and by itself, because the former answers without it where it knows what it says.
pub(super) async fn can_view(connection: &mut Transaction<'_>) -> Findings {
    let answer = sqlx::query_scalar!(
        "SELECT can_view(pair.user_id, pair.resource_id) AS answer
           FROM (SELECT coalesce((SELECT id FROM profiles LIMIT 1), '00000000-0000-0000-0000-000000000000') AS user_id,
                        coalesce((SELECT id FROM resources LIMIT 1), '00000000-0000-0000-0000-000000000000') AS resource_id
                ) AS pair
           LEFT JOIN LATERAL can_view_many(ARRAY[pair.user_id], ARRAY[pair.resource_id]) AS seen ON true"
    )
    .fetch_one(Unnamed(connection))
    .await;
    let Err(error) = answer else {
        return Ok(vec![Finding::ok("answers")]);
    };
    if ErrorClass::of(&error) == ErrorClass::Unreachable {
        return Err(error);
    }
    let fails = format!("fails: {}", said(&error));
    Ok(vec![match sqlstate(&error).as_deref() {
        Some("25006") => Finding::warn(
            "writes, which a dry run, explain and this check may not",
            "let the function only read",
        ),
        Some("42501") => Finding::problem(
            fails,
            "it reads with the rights of its caller: grant the role what it reads, or make it SECURITY DEFINER",
        ),
        _ => Finding::problem(fails, "document_uploaded events fail until this is fixed"),
    }])
}

/// Whether the application's preference panel knows e-mail.
pub(super) async fn mutes(connection: &mut Transaction<'_>) -> Findings {
    let in_app_only = sqlx::query_scalar!(
        r#"SELECT (EXISTS (SELECT FROM user_notification_preferences
                            WHERE channel = 'in_app' AND status = 'muted')
                   AND NOT EXISTS (SELECT FROM user_notification_preferences WHERE channel IN ('email', '*'))
                  ) AS "in_app_only!""#
    )
    .fetch_one(Unnamed(connection))
    .await?;
    Ok(vec![if in_app_only {
        Finding::warn(
            "in_app is muted, and there is no preference for e-mail",
            "if the application's mutes cover e-mail too, set NOTIFY_MUTE_COVERS_EMAIL=true",
        )
    } else {
        Finding::ok("no sign of mutes that should cover e-mail")
    }])
}
