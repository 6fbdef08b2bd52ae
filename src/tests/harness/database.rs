//! A database of a test's own.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use notify_fan_out::db::Database;
use notify_fan_out::db::migrate::MigrateReport;
use notify_fan_out::fan_out::{self, FanOutReport, FanOutSettings, RunFailed};
use notify_fan_out::handlers::Rendering;
use secrecy::SecretString;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio_util::sync::CancellationToken;

use super::DEADLINE;
use super::proxy::Proxy;
use super::server::{JOB_ROLE, Server};
use super::template;
use super::world::World;

/// A database of a test's own, dropped with the value.
#[derive(Debug)]
pub(crate) struct TestDatabase<'s> {
    pub(super) server: &'s Server,
    name: String,
}

impl TestDatabase<'static> {
    /// A migrated database, on which the job has its rights.
    pub(crate) async fn new() -> Self {
        Self::on(Server::shared()).await
    }

    /// A database without anything.
    pub(crate) async fn empty() -> Self {
        Self::empty_on(Server::shared()).await
    }
}

impl<'s> TestDatabase<'s> {
    /// A migrated database on a server of the test's own.
    pub(crate) async fn on(server: &'s Server) -> Self {
        let template = server.template.name(server).await;
        Self::create(server, &format!("TEMPLATE {template}")).await
    }

    /// A database without anything on a server of the test's own.
    pub(crate) async fn empty_on(server: &'s Server) -> Self {
        Self::create(server, "TEMPLATE template0").await
    }

    async fn create(server: &'s Server, like: &str) -> Self {
        let name = Server::new_name();
        let mut admin = server.connect("postgres").await;
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name} {like}")))
            .execute(&mut admin)
            .await
            .expect("a database");
        Self { server, name }
    }

    /// A database like this one, with the same content. Nobody may be connected to this one.
    pub(crate) async fn twin(&self) -> Self {
        Self::create(self.server, &format!("TEMPLATE {}", self.name)).await
    }

    /// The same database on a standby of its server.
    pub(crate) fn as_on<'o>(&self, server: &'o Server) -> TestDatabase<'o> {
        let name = self.name.clone();
        TestDatabase { server, name }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The URL that the job gets: that of a role with the rights that the job needs and no others.
    pub(crate) fn url(&self) -> String {
        if template::runs_as_job_role() {
            self.server.url_as(JOB_ROLE, &self.name)
        } else {
            self.superuser_url()
        }
    }

    /// The URL for whoever sets the stage.
    pub(crate) fn superuser_url(&self) -> String {
        self.server.url(&self.name)
    }

    /// A proxy before the server, and the job's URL through it.
    pub(crate) fn behind_proxy(&self) -> (Proxy, String) {
        let (socket, port) = self.server.socket();
        let server = Path::new(&socket).join(format!(".s.PGSQL.{port}"));
        let proxy = Proxy::start(&server).expect("a socket");
        let in_url = |folder: &str| folder.replace('/', "%2F");
        let through = in_url(proxy.folder().to_str().expect("a path"));
        // To ask for TLS first is to connect, and not what is counted.
        let url = self.url().replace(&in_url(&socket), &socket);
        let url = url.replace(&socket, &through) + "&sslmode=disable";
        (proxy, url)
    }

    /// The database as the job sees it.
    pub(crate) fn database(&self) -> Database {
        database_at(&self.url())
    }

    /// A superuser's connection, to set up and to look.
    pub(crate) async fn connect(&self) -> PgConnection {
        self.server.connect(&self.name).await
    }

    /// Things to tell people about.
    pub(crate) async fn world(&self) -> World {
        World::new(self.connect().await)
    }

    /// Migrates with the library's own function, as the superuser, and gives the job its rights.
    pub(crate) async fn migrate(&self) -> MigrateReport {
        let report = migrate(&database_at(&self.superuser_url())).await;
        template::grant(&self.superuser_url());
        report
    }

    /// What tests run with if they don't care.
    #[expect(clippy::unused_self, reason = "it reads like the others")]
    pub(crate) fn settings(&self) -> FanOutSettings {
        FanOutSettings {
            batch_size: 500,
            max_event_age: Duration::from_hours(24),
            stuck_after: Duration::from_mins(10),
            max_attempts: 5,
            max_runtime: Duration::from_mins(2),
            workers: 1,
            limit: None,
            ignored_types: Vec::new(),
            processor_id: "test".to_owned(),
            routes: Vec::new(),
            mute_covers_email: false,
            rendering: Rendering::default(),
        }
    }

    /// Runs the job in this process until nothing is due.
    pub(crate) async fn run(&self) -> FanOutReport {
        self.run_with(&self.settings()).await
    }

    /// Runs the job in this process.
    pub(crate) async fn run_with(&self, settings: &FanOutSettings) -> FanOutReport {
        let (report, result) = self.try_run_with(settings).await;
        result.unwrap_or_else(|error| panic!("{error}; until then {report:?}"));
        report
    }

    /// Runs the job in this process, in batches of this size.
    pub(crate) async fn run_in_batches(&self, batch_size: u32) -> FanOutReport {
        let mut settings = self.settings();
        settings.batch_size = batch_size;
        self.run_with(&settings).await
    }

    /// Runs the job in this process, come what may.
    pub(crate) async fn try_run_with(
        &self,
        settings: &FanOutSettings,
    ) -> (FanOutReport, Result<(), RunFailed>) {
        let stop = CancellationToken::new();
        fan_out::run(&self.database(), settings, &stop, &mut |_| {}).await
    }

    /// Runs statements as the superuser.
    pub(crate) async fn execute(&self, statements: impl Into<String>) {
        let statements: String = statements.into();
        sqlx::raw_sql(AssertSqlSafe(statements.clone()))
            .execute(&mut self.connect().await)
            .await
            .unwrap_or_else(|error| panic!("{error}: {statements}"));
    }

    /// Reads one column of rows as text; NULL is "∅".
    pub(crate) async fn texts(&self, query: impl AsRef<str>) -> Vec<String> {
        let query = query.as_ref();
        let query = format!("SELECT coalesce(t.v::text, '∅') FROM ({query}) AS t (v)");
        sqlx::query_scalar(AssertSqlSafe(query.clone()))
            .fetch_all(&mut self.connect().await)
            .await
            .unwrap_or_else(|error| panic!("{error}: {query}"))
    }

    /// Reads one value as text; NULL is "∅".
    pub(crate) async fn text(&self, query: impl AsRef<str>) -> String {
        let query = query.as_ref();
        let mut rows = self.texts(query).await;
        assert_eq!(rows.len(), 1, "{query}");
        rows.remove(0)
    }

    /// Counts the rows of a table, with a condition if one follows its name.
    pub(crate) async fn count(&self, of: impl AsRef<str>) -> u64 {
        let of = of.as_ref();
        let count = self.text(format!("SELECT count(*) FROM {of}")).await;
        count.parse().expect("a number")
    }

    /// How many events stand at each status.
    pub(crate) async fn statuses(&self) -> BTreeMap<String, u64> {
        let rows = self
            .texts("SELECT processing_status || ' ' || count(*) FROM notification_processing GROUP BY processing_status")
            .await;
        rows.iter()
            .map(|row| {
                let (status, count) = row.split_once(' ').expect("two words");
                (status.to_owned(), count.parse().expect("a number"))
            })
            .collect()
    }

    /// How many events stand at each status, such as `completed=2 failed=1`.
    pub(crate) async fn standings(&self) -> String {
        let counts = "SELECT processing_status || '=' || count(*) FROM notification_processing
            GROUP BY processing_status ORDER BY processing_status";
        self.texts(counts).await.join(" ")
    }

    /// Where each of some events stands, a line each.
    pub(crate) async fn states(&self, events: impl IntoIterator<Item = i64>) -> String {
        let mut states = Vec::new();
        for event in events {
            states.push(self.state(event).await);
        }
        states.join("\n")
    }

    /// Where one event stands: status, attempts after the first, and the error if any.
    pub(crate) async fn state(&self, event_id: i64) -> String {
        self.text(&format!(
            "SELECT concat_ws(' ', processing_status, retry_count, error_message)
               FROM notification_processing WHERE event_id = {event_id}"
        ))
        .await
    }

    /// Waits until a query answers true. Fails the test when it takes too long.
    pub(crate) async fn until(&self, condition: &str) {
        let mut connection = self.connect().await;
        let query = format!("SELECT ({condition})::boolean");
        let since = Instant::now();
        loop {
            let met: Option<bool> = sqlx::query_scalar(AssertSqlSafe(query.clone()))
                .fetch_one(&mut connection)
                .await
                .unwrap_or_else(|error| panic!("{error}: {condition}"));
            if met == Some(true) {
                return;
            }
            assert!(since.elapsed() < DEADLINE, "never became true: {condition}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for TestDatabase<'_> {
    fn drop(&mut self) {
        let server = self.server;
        let name = &self.name;
        // A runtime of its own: this one can't be waited for from within.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                let drop = async {
                    let url = server.url("postgres");
                    let mut admin = <PgConnection as sqlx::Connection>::connect(&url).await?;
                    let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                    sqlx::raw_sql(AssertSqlSafe(statement))
                        .execute(&mut admin)
                        .await
                };
                // What can't be dropped ends with the server.
                let _ = runtime.map(|runtime| runtime.block_on(drop));
            });
        });
    }
}

/// A database by its URL.
pub(crate) fn database_at(url: &str) -> Database {
    Database::new(&SecretString::from(url.to_owned()), Duration::from_mins(1)).expect("a URL")
}

/// Migrates with the library's own function.
pub(crate) async fn migrate(database: &Database) -> MigrateReport {
    let mut session = database.connect().await.expect("a connection");
    let day = Duration::from_hours(24);
    let report = notify_fan_out::db::migrate::migrate(&mut session, day).await;
    session.close().await.expect("goodbye");
    report.unwrap_or_else(|error| panic!("{error}"))
}
