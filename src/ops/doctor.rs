//! Doctor: checks that nothing keeps notifications from being sent, and says how to fix what does.
//!
//! It only reads, and shows neither secrets nor personal data. A check that cannot be carried out is
//! itself a finding; only a lost connection ends the examination.

mod adoption;
mod columns;
mod connection;
mod delivery;
mod machine;
mod objects;
mod preferences;
mod queue;
mod required_privileges;
mod rights;
mod server;
mod transports;

pub use adoption::adoption;
pub use machine::MetricsFile;
pub use transports::ConfiguredTransport;

use std::time::Duration;

use serde::Serialize;

use crate::db::migrate::pending;
use crate::db::{Access, Database, ErrorClass, Session, Transaction, said, sqlstate};
use crate::endpoints::Encryption;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// The job works; something is slow, misleading or left to do.
    Warn,
    /// The job fails, or misses recipients.
    Problem,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked.
    pub name: &'static str,
    /// How serious the finding is.
    #[serde(rename = "verdict")]
    pub severity: Severity,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            severity: Severity::Ok,
            found: found.into(),
            advice: None,
        }
    }

    fn warn(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            name,
            severity: Severity::Warn,
            found: found.into(),
            advice: Some(advice.into()),
        }
    }

    fn problem(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            name,
            severity: Severity::Problem,
            found: found.into(),
            advice: Some(advice.into()),
        }
    }
}

/// What the checks give, or the error that kept them from it.
type Findings = Result<Vec<Finding>, sqlx::Error>;

/// What the jobs are given besides the database.
#[derive(Debug, Default)]
pub struct Setup {
    /// The files that metrics are asked for in.
    pub metrics_files: Vec<MetricsFile>,
    /// The transport of e-mails.
    pub mails: ConfiguredTransport,
    /// The transport of text messages.
    pub texts: ConfiguredTransport,
    /// What decrypts the settings of endpoints, if that is known.
    pub encryption: Option<Encryption>,
    /// For how long an event may be due; `None`: not checked.
    pub overdue_after: Option<Duration>,
    /// From which age on `prune` deletes; none where it is off.
    pub prune_older_than: Option<Duration>,
    /// Whether an in-app mute covers e-mail.
    pub mute_covers_email: bool,
    /// What of the configuration is wrong, each by the name of its variable.
    pub invalid: Vec<String>,
}

/// Checks the database, and what the jobs need of this machine and its settings.
pub async fn diagnose(database: &Database, setup: &Setup) -> Findings {
    let mut session = database.connect().await?;
    let place = database.describe();
    let mut checks = in_read_only(
        &mut session,
        "connection",
        async |connection: &mut Transaction<'_>| connection::check(connection, &place).await,
    )
    .await?;
    checks.extend(in_read_only(&mut session, "server", server::check).await?);
    checks.push(connection::pooler(database, &mut session).await?);
    checks.extend(migrations(&mut session).await?);
    let objects = in_read_only(&mut session, "tables", objects::check).await?;
    let are_there = objects.iter().all(|check| check.severity == Severity::Ok);
    checks.extend(objects);
    checks.extend(in_read_only(&mut session, "columns", columns::types).await?);
    checks.extend(in_read_only(&mut session, "columns", columns::required).await?);
    let mut rights = in_read_only(&mut session, "rights", rights::check).await?;
    rights.extend(in_read_only(&mut session, "rights", rights::optional).await?);
    rights.extend(
        in_read_only(
            &mut session,
            "row level security",
            rights::row_level_security,
        )
        .await?,
    );
    if !are_there {
        // All rights on a part of the tables are not a good sign.
        rights.retain(|check| check.severity != Severity::Ok);
    }
    checks.extend(rights);
    if are_there {
        checks.extend(rows(&mut session, setup).await?);
    }
    checks.extend(in_read_only(&mut session, "indexes", objects::indexes).await?);
    checks.extend(transports::settings(&setup.invalid));
    checks.extend(setup.metrics_files.iter().map(machine::metrics_file));
    session.close().await?;
    Ok(checks)
}

/// The checks that read the tables; where these are missing, they would only repeat that.
async fn rows(session: &mut Session, setup: &Setup) -> Findings {
    let mut checks = Vec::new();
    checks.extend(in_read_only(session, "can_view", rights::can_view).await?);
    checks.extend(in_read_only(session, "trigger", queue::trigger).await?);
    checks.extend(in_read_only(session, "queue", queue::unqueued).await?);
    checks.extend(in_read_only(session, "identifiers", queue::identifiers).await?);
    if let Some(after) = setup.overdue_after {
        checks.extend(
            in_read_only(session, "due", async |connection: &mut Transaction<'_>| {
                queue::overdue(connection, after).await
            })
            .await?,
        );
    }
    if let Some(age) = setup.prune_older_than {
        checks.extend(
            in_read_only(
                session,
                "history",
                async |connection: &mut Transaction<'_>| queue::history(connection, age).await,
            )
            .await?,
        );
    }
    if !setup.mute_covers_email {
        checks.extend(in_read_only(session, "preferences", preferences::mutes).await?);
    }
    checks.extend(
        in_read_only(
            session,
            "transports",
            async |connection: &mut Transaction<'_>| {
                transports::configured(connection, setup.mails, setup.texts).await
            },
        )
        .await?,
    );
    if let Some(encryption) = &setup.encryption {
        checks.extend(
            in_read_only(
                session,
                "transports",
                async |connection: &mut Transaction<'_>| {
                    transports::encryption(connection, encryption).await
                },
            )
            .await?,
        );
    }
    checks.extend(in_read_only(session, "outgoing", delivery::waiting).await?);
    checks.extend(in_read_only(session, "leases", delivery::leases).await?);
    checks.extend(in_read_only(session, "dead letters", delivery::dead_letters).await?);
    checks.extend(in_read_only(session, "endpoints", delivery::endpoints).await?);
    Ok(checks)
}

/// Carries checks out in a transaction that cannot write.
async fn in_read_only<F>(session: &mut Session, name: &'static str, checks: F) -> Findings
where
    F: AsyncFnOnce(&mut Transaction<'_>) -> Findings,
{
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let found = checks(&mut transaction).await;
    transaction.rollback().await?;
    found.or_else(|error| Ok(vec![failed(name, error)?]))
}

/// A check that could not be carried out.
fn failed(name: &'static str, error: sqlx::Error) -> Result<Finding, sqlx::Error> {
    if ErrorClass::of(&error) == ErrorClass::Unreachable {
        return Err(error);
    }
    let advice = match sqlstate(&error).as_deref() {
        Some("42501") => "give the role its rights: scripts/grants.sql",
        Some("42P01" | "42703" | "42883") => "bring the schema up to date: notify-fan-out migrate",
        _ => "see the server's log",
    };
    Ok(Finding::problem(
        name,
        format!("could not be checked: {}", said(&error)),
        advice,
    ))
}

async fn migrations(session: &mut Session) -> Findings {
    use crate::db::migrate::MigrationFailed;
    const NAME: &str = "migrations";
    let pending = match pending(session).await {
        Ok(pending) => pending,
        Err(MigrationFailed::Database(error)) => return Ok(vec![failed(NAME, error)?]),
        Err(error) => {
            let advice = "give the role its rights: scripts/grants.sql";
            return Ok(vec![Finding::problem(NAME, error.to_string(), advice)]);
        }
    };
    if !pending.migrations.is_empty() {
        return Ok(vec![Finding::problem(
            NAME,
            format!("missing: {}", pending.migrations.join(", ")),
            "apply them: notify-fan-out migrate",
        )]);
    }
    let mut checks = vec![Finding::ok(NAME, "all applied")];
    checks.extend(objects::definitions(&pending.objects));
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_counts() {
        assert!(Severity::Ok < Severity::Warn && Severity::Warn < Severity::Problem);
    }
}
