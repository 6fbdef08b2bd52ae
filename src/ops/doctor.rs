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
mod queue;
mod required_privileges;
mod rights;
mod transports;
mod wake_ups;

pub use adoption::adoption;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::channels::Channel;
use crate::daemon::WakeMode;
use crate::db::migrate::{MigrationFailed, pending};
use crate::db::{Access, Database, ErrorClass, Session, Transaction, said, sqlstate};
use crate::endpoints::Encryption;

/// Names that a finding lists.
const MOST_NAMED: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
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
    #[serde(rename = "verdict")]
    pub severity: Severity,
    pub found: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// Without a name: its check gives it one.
impl Finding {
    fn ok(found: impl Into<String>) -> Self {
        Self {
            name: "",
            severity: Severity::Ok,
            found: found.into(),
            advice: None,
        }
    }

    fn warn(found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warn,
            advice: Some(advice.into()),
            ..Self::ok(found)
        }
    }

    fn problem(found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            severity: Severity::Problem,
            ..Self::warn(found, advice)
        }
    }
}

/// Every finding.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// That of the worst.
    #[serde(rename = "verdict")]
    pub severity: Severity,
    pub checks: Vec<Finding>,
}

impl From<Vec<Finding>> for Diagnosis {
    fn from(checks: Vec<Finding>) -> Self {
        let worst = checks.iter().map(|check| check.severity).max();
        Self {
            severity: worst.unwrap_or(Severity::Ok),
            checks,
        }
    }
}

/// What a check gives, or the error that kept it from it.
type Findings = Result<Vec<Finding>, sqlx::Error>;

/// What the jobs are given besides the database.
#[derive(Debug, Default)]
pub struct Setup {
    /// The files that metrics are asked for in, each with the variable that names it.
    pub metrics_files: Vec<(&'static str, PathBuf)>,
    /// The transport of each channel whose messages share an account, as far as it is known; `None`:
    /// none is configured.
    pub transports: BTreeMap<Channel, Option<&'static str>>,
    /// What decrypts the settings of endpoints, if that is known.
    pub encryption: Option<Encryption>,
    /// For how long an event may be due; `None`: not checked.
    pub overdue_after: Option<Duration>,
    /// From which age on `prune` deletes; none where it is off.
    pub prune_older_than: Option<Duration>,
    pub mute_covers_email: bool,
    /// How a daemon is to be woken; `None`: not checked.
    pub(crate) wake: Option<WakeMode>,
    /// Where it listens, if not at the database's address.
    pub(crate) listen: Option<Database>,
    /// What of the configuration is wrong, each by the name of its variable.
    pub invalid: Vec<String>,
}

/// Checks the database, and what the jobs need of this machine and its settings.
pub async fn diagnose(database: &Database, setup: &Setup) -> Findings {
    let mut session = database.connect().await?;
    let mut examination = Examination::new(&mut session);
    let place = database.describe();
    let connection =
        async |transaction: &mut Transaction<'_>| connection::check(transaction, &place).await;
    examination.check("connection", connection).await?;
    examination.check("server", connection::server).await?;
    examination.check("writes", connection::writes).await?;
    let pooler = connection::pooler(database, examination.session).await;
    let is_pooled = pooler.as_ref().is_ok_and(|(_, is_pooled)| *is_pooled);
    examination.add("pooler", pooler.map(|(finding, _)| vec![finding]))?;
    let wake_ups = wake_ups::check(database, setup, is_pooled).await;
    examination.add("wake-ups", Ok(wake_ups.into_iter().collect()))?;
    examination.migrations().await?;
    let is_complete = examination.check("tables", objects::tables).await?;
    examination.check("columns", columns::types).await?;
    examination.check("columns", columns::required).await?;
    let privileges = examination.findings.len();
    examination.check("rights", rights::check).await?;
    examination
        .check("optional columns", rights::optional)
        .await?;
    examination
        .check("row level security", rights::row_level_security)
        .await?;
    if is_complete {
        examination.rows(setup).await?;
    } else {
        // All privileges on a part of the tables are not a good sign, and the checks that read the
        // tables would only repeat what is missing.
        let checks = examination.findings.split_off(privileges);
        let amiss = checks.into_iter();
        examination
            .findings
            .extend(amiss.filter(|check| check.severity != Severity::Ok));
    }
    examination.check("indexes", objects::indexes).await?;
    let invalid = setup.invalid.iter().map(|error| {
        let advice = "whatever needs it ends with exit code 2 until it is fixed; see .env.example";
        Finding::problem(error, advice)
    });
    examination.add("settings", Ok(invalid.collect()))?;
    let files = setup.metrics_files.iter().map(machine::metrics_file);
    examination.add("metrics file", Ok(files.collect()))?;
    let findings = examination.findings;
    session.close().await?;
    Ok(findings)
}

/// Checks that share a connection, and their findings.
struct Examination<'a> {
    session: &'a mut Session,
    findings: Vec<Finding>,
}

impl<'a> Examination<'a> {
    fn new(session: &'a mut Session) -> Self {
        Self {
            session,
            findings: Vec::new(),
        }
    }

    /// Carries a check out in a transaction that cannot write. Whether it found all well.
    async fn check<F>(&mut self, name: &'static str, check: F) -> Result<bool, sqlx::Error>
    where
        F: AsyncFnOnce(&mut Transaction<'_>) -> Findings,
    {
        let mut transaction = self.session.begin(Access::ReadOnly).await?;
        let found = check(&mut transaction).await;
        transaction.rollback().await?;
        self.add(name, found)
    }

    fn add(&mut self, name: &'static str, found: Findings) -> Result<bool, sqlx::Error> {
        let mut found = found.or_else(|error| failed(error).map(|finding| vec![finding]))?;
        for finding in &mut found {
            finding.name = name;
        }
        let is_well = found.iter().all(|check| check.severity == Severity::Ok);
        self.findings.append(&mut found);
        Ok(is_well)
    }

    async fn migrations(&mut self) -> Result<(), sqlx::Error> {
        let mut objects = Vec::new();
        let found = match pending(self.session).await {
            Ok(pending) if pending.migrations.is_empty() => {
                objects = pending.objects;
                Ok(Finding::ok("all applied"))
            }
            Ok(pending) => Ok(Finding::problem(
                format!("missing: {}", pending.migrations.join(", ")),
                "apply them: notify-fan-out migrate",
            )),
            Err(MigrationFailed::Database(error)) => Err(error),
            Err(error) => Ok(Finding::problem(
                error.to_string(),
                "give the role its rights: scripts/grants.sql",
            )),
        };
        self.add("migrations", found.map(|finding| vec![finding]))?;
        self.add("functions", Ok(objects::definitions(&objects)))?;
        Ok(())
    }

    /// The checks that read the tables.
    async fn rows(&mut self, setup: &Setup) -> Result<(), sqlx::Error> {
        self.check("can_view", rights::can_view).await?;
        self.check("trigger", queue::trigger).await?;
        self.check("queue", queue::unqueued).await?;
        self.check("identifiers", queue::identifiers).await?;
        if let Some(after) = setup.overdue_after {
            let due =
                async |transaction: &mut Transaction<'_>| queue::overdue(transaction, after).await;
            self.check("due", due).await?;
        }
        if let Some(age) = setup.prune_older_than {
            let history =
                async |transaction: &mut Transaction<'_>| queue::history(transaction, age).await;
            self.check("history", history).await?;
        }
        if !setup.mute_covers_email {
            self.check("preferences", rights::mutes).await?;
        }
        let configured = async |transaction: &mut Transaction<'_>| {
            transports::configured(transaction, &setup.transports).await
        };
        self.check("transports", configured).await?;
        if let Some(encryption) = &setup.encryption {
            let encrypted = async |transaction: &mut Transaction<'_>| {
                transports::encryption(transaction, encryption).await
            };
            self.check("transports", encrypted).await?;
        }
        self.check("outgoing", delivery::waiting).await?;
        self.check("leases", delivery::leases).await?;
        self.check("dead letters", delivery::dead_letters).await?;
        self.check("endpoints", delivery::endpoints).await?;
        Ok(())
    }
}

/// A check that could not be carried out.
fn failed(error: sqlx::Error) -> Result<Finding, sqlx::Error> {
    if ErrorClass::of(&error) == ErrorClass::Unreachable {
        return Err(error);
    }
    let advice = match sqlstate(&error).as_deref() {
        Some("42501") => "give the role its rights: scripts/grants.sql",
        Some("42P01" | "42703" | "42883") => "bring the schema up to date: notify-fan-out migrate",
        _ => "see the server's log",
    };
    let found = format!("could not be checked: {}", said(&error));
    Ok(Finding::problem(found, advice))
}

/// The first names, and how many more there are.
fn listed(mut names: Vec<String>, separator: &str) -> String {
    let hidden = names.len().saturating_sub(MOST_NAMED);
    names.truncate(MOST_NAMED);
    if hidden > 0 {
        names.push(format!("and {hidden} more"));
    }
    names.join(separator)
}
