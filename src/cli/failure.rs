//! Why a command could not be carried out, and what to do about it.

use super::ExitStatus;
use crate::config::InvalidConfig;
use crate::db::migrate::MigrationFailed;
use crate::db::{Access, Database, ErrorClass, Session, Unnamed, said, sqlstate, tls_error};

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Variables that are wrong, or missing and needed.
    #[error("{}", lines(.0))]
    Config(Vec<InvalidConfig>),
    /// Flags that don't go together, or a value that is wrong.
    #[error("{0}")]
    Usage(String),
    /// The database, and where it was sought.
    #[error("{place}: {}{advice}", said(error))]
    Database {
        /// Host, port and database.
        place: String,
        error: sqlx::Error,
        /// What to do about it, where that is known.
        advice: String,
    },
    /// What was asked for can't be done here, as the text says.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Migration(#[from] MigrationFailed),
    #[error("the result could not be written: {0}")]
    Output(#[from] std::io::Error),
}

impl From<InvalidConfig> for Failure {
    fn from(error: InvalidConfig) -> Self {
        Self::Config(vec![error])
    }
}

fn lines(errors: &[InvalidConfig]) -> String {
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    errors.join("\n")
}

impl Failure {
    /// The exit code for it.
    pub(super) fn status(&self) -> ExitStatus {
        match self {
            Self::Config(_) | Self::Usage(_) => ExitStatus::Config,
            Self::Database { error, .. } | Self::Migration(MigrationFailed::Database(error)) => {
                of_database(error)
            }
            Self::Migration(failed) if failed.is_unreachable() => ExitStatus::DatabaseUnreachable,
            Self::Migration(_) | Self::Refused(_) | Self::Output(_) => ExitStatus::Failure,
        }
    }
}

fn of_database(error: &sqlx::Error) -> ExitStatus {
    match (ErrorClass::of(error), sqlstate(error).as_deref()) {
        (ErrorClass::Unreachable | ErrorClass::Server, _) => ExitStatus::DatabaseUnreachable,
        // Wrong user, password or database name: what DATABASE_URL says is wrong.
        (_, Some("28000" | "28P01" | "3D000")) => ExitStatus::Config,
        _ => ExitStatus::Failure,
    }
}

/// Opens a connection.
pub(super) async fn connect(database: &Database) -> Result<Session, Failure> {
    database
        .connect()
        .await
        .map_err(|error| database_failure(database, error))
}

/// Says where an error came from, and what to do about those that have a known remedy.
pub(super) fn database_failure(database: &Database, error: sqlx::Error) -> Failure {
    let advice = match sqlstate(&error).as_deref() {
        Some("28000" | "28P01" | "3D000") => "; check user, password and database in DATABASE_URL",
        Some("42P01" | "42703" | "42883") => {
            "; is the schema up to date? Run: notify-fan-out migrate"
        }
        Some("42501") => "; the role lacks a right. See: notify-fan-out doctor, scripts/grants.sql",
        Some("25006" | "0A000") => {
            "; this server takes no writes (a standby?); a dry run works on it"
        }
        // Where nothing verifies it, any certificate would do; the library reads version 3 only.
        _ if tls_error(&error)
            .is_some_and(|error| format!("{error:?}").contains("UnsupportedCertVersion")) =>
        {
            "; the server's certificate is of X.509 version 1, which can't be read: give the server one \
             of version 3, or connect with sslmode=disable where the network is trusted"
        }
        _ if ErrorClass::of(&error) == ErrorClass::Unreachable => {
            "; is it running, and DATABASE_URL right?"
        }
        _ if ErrorClass::of(&error) == ErrorClass::Server => {
            "; nothing is lost: run again once the server works"
        }
        _ => "",
    };
    Failure::Database {
        place: database.describe(),
        error,
        advice: advice.to_owned(),
    }
}

/// As [`database_failure`]; where the role lacks a right, with how it gets those that the variable
/// `variable` of scripts/grants.sql gives.
pub(super) async fn grant_failure(
    database: &Database,
    session: &mut Session,
    error: sqlx::Error,
    variable: &str,
) -> Failure {
    if sqlstate(&error).as_deref() != Some("42501") {
        return database_failure(database, error);
    }
    let role = current_role(session).await;
    let role = role.unwrap_or_else(|_| "NAME".to_owned());
    Failure::Database {
        place: database.describe(),
        error,
        advice: format!(
            "; as the tables' owner: psql -d DATABASE -v role='{role}' -v {variable} -f scripts/grants.sql"
        ),
    }
}

/// Who is asking. A pooler knows the role by another name than the server.
async fn current_role(session: &mut Session) -> Result<String, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let role = sqlx::query_scalar("SELECT current_user::text")
        .fetch_one(Unnamed(&mut transaction))
        .await?;
    transaction.rollback().await?;
    Ok(role)
}
