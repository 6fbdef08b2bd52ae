//! The migrated database that test databases are copies of: made once per process and server.

use std::path::Path;

use sqlx::AssertSqlSafe;
use tokio::sync::OnceCell;

use super::server::{Server, psql, succeed};
use super::{database_at, migrate};

const GRANTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/grants.sql");

/// Made when the first test asks for it.
#[derive(Debug, Default)]
pub(super) struct Template(OnceCell<String>);

impl Template {
    /// Its name.
    pub(super) async fn name<'a>(&'a self, server: &Server) -> &'a str {
        self.0.get_or_init(|| make(server)).await
    }
}

async fn make(server: &Server) -> String {
    let name = Server::new_name();
    let mut admin = server.connect("postgres").await;
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&mut admin)
        .await
        .expect("a database");
    let url = server.url(&name);
    migrate(&database_at(&url)).await;
    grant(&url);
    name
}

/// Gives the job's role its rights on a migrated database, and makes the role where it is missing.
pub(super) fn grant(superuser_url: &str) {
    if runs_as_job_role() {
        succeed(&mut psql(superuser_url, GRANTS));
    }
}

/// The one switch: without the file that grants it its rights, the job runs as the superuser.
pub(super) fn runs_as_job_role() -> bool {
    Path::new(GRANTS).exists()
}
