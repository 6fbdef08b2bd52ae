//! The throw-away database that everything is measured on.

use std::path::PathBuf;

use anyhow::Context;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::job;
use super::options::{Options, WORLD};
use super::proxy::Proxy;

/// A database with the world in it, and a connection to it.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) options: Options,
    pub(crate) db: PgConnection,
    /// To another database, so that looking does not change what is looked at.
    pub(crate) outside: PgConnection,
    /// Where the jobs find it.
    pub(crate) url: String,
    pub(crate) name: String,
    connect: PgConnectOptions,
}

/// The server, as the script has started it.
fn server() -> anyhow::Result<PgConnectOptions> {
    let url = std::env::var("BENCH_DATABASE_URL").context(
        "BENCH_DATABASE_URL is not set: call ./scripts/bench.sh, which starts a PostgreSQL",
    )?;
    let options: PgConnectOptions = url.parse().context("BENCH_DATABASE_URL")?;
    Ok(options.disable_statement_logging())
}

/// The folder of the server's socket.
fn folder(connect: &PgConnectOptions) -> anyhow::Result<&PathBuf> {
    connect
        .get_socket()
        .context("the server has to listen on a Unix socket")
}

/// The same for a job.
fn url_of(connect: &PgConnectOptions) -> anyhow::Result<String> {
    let database = connect.get_database().context("no database is named")?;
    let mut url: url::Url =
        format!("postgres://localhost:{}/{database}", connect.get_port()).parse()?;
    url.query_pairs_mut()
        .append_pair("host", &folder(connect)?.to_string_lossy())
        .append_pair("user", connect.get_username())
        // Asking for TLS first is connecting, and not what is counted.
        .append_pair("sslmode", "disable");
    Ok(url.to_string())
}

/// Makes a database that leaves no trace in the server's bookkeeping until it is asked to.
async fn create(outside: &mut PgConnection, name: &str, source: &str) -> sqlx::Result<()> {
    for statement in [
        format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        format!("CREATE DATABASE {name} {source}"),
        format!("ALTER DATABASE {name} SET pg_stat_statements.track = 'none'"),
        format!("ALTER DATABASE {name} SET pg_stat_statements.track_planning = on"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *outside)
            .await?;
    }
    Ok(())
}

impl Lab {
    /// Makes the database and builds the world in it.
    pub(crate) async fn build(options: Options, name: String) -> anyhow::Result<Self> {
        let server = server()?;
        let mut outside = PgConnection::connect_with(&server).await?;
        sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            .execute(&mut outside)
            .await?;
        create(&mut outside, &name, "").await?;
        job::run(&url_of(&server.database(&name))?, 1, &["migrate"], &[]).context("migrate")?;
        let mut lab = Self::open(options, name, outside).await?;
        lab.build_world().await?;
        Ok(lab)
    }

    /// The same database once more, under another name.
    pub(crate) async fn copy(self, name: String) -> anyhow::Result<(Self, Self)> {
        let Self {
            options,
            db,
            mut outside,
            name: original,
            ..
        } = self;
        // Nobody may be connected to what is copied.
        db.close().await?;
        // Not by way of the log, page by page, where the server has the choice.
        let strategy = match outside.server_version_num() {
            Some(version) if version >= 150_000 => "STRATEGY file_copy",
            _ => "",
        };
        let source = format!("TEMPLATE {original} {strategy}");
        create(&mut outside, &name, &source).await?;
        let for_copy = PgConnection::connect_with(&server()?).await?;
        let copy = Self::open(options.clone(), name, for_copy).await?;
        Ok((Self::open(options, original, outside).await?, copy))
    }

    /// Connects to a database that is there.
    async fn open(options: Options, name: String, outside: PgConnection) -> anyhow::Result<Self> {
        let connect = server()?.database(&name);
        let mut lab = Self {
            options,
            db: PgConnection::connect_with(&connect).await?,
            outside,
            url: url_of(&connect)?,
            name,
            connect,
        };
        let events = [("events", lab.options.events())];
        for (name, size) in WORLD.into_iter().chain(events) {
            lab.sql(&format!("SET bench.{name} = {size}")).await?;
        }
        Ok(lab)
    }

    async fn build_world(&mut self) -> anyhow::Result<()> {
        self.sql("CREATE SCHEMA bench").await?;
        self.sql(include_str!("world.sql")).await?;
        self.sql(include_str!("events.sql")).await?;
        self.sql("CREATE UNLOGGED TABLE bench.events AS SELECT * FROM domain_events ORDER BY id")
            .await?;
        self.sql("ALTER TABLE bench.events ADD PRIMARY KEY (id)")
            .await?;
        self.sql("VACUUM (ANALYZE)").await
    }

    /// A new connection, which has nothing cached.
    pub(crate) async fn connect(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect_with(&self.connect).await
    }

    /// Runs statements without a result.
    pub(crate) async fn sql(&mut self, statements: &str) -> anyhow::Result<()> {
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(&mut self.db)
            .await
            .with_context(|| statements.chars().take(200).collect::<String>())?;
        Ok(())
    }

    /// One number.
    pub(crate) async fn count(&mut self, query: &'static str) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar(query).fetch_one(&mut self.db).await?)
    }

    /// Makes every event due again, and leaves no work behind for the next run to do.
    pub(crate) async fn restore(&mut self) -> anyhow::Result<()> {
        self.sql(include_str!("restore.sql")).await?;
        // The runs leave row locks on these.
        self.sql("VACUUM profiles, domain_events").await?;
        self.sql("CHECKPOINT").await
    }

    /// Leaves no event behind.
    pub(crate) async fn empty(&mut self) -> anyhow::Result<()> {
        self.sql(include_str!("restore.sql")).await?;
        self.sql("TRUNCATE domain_events, notification_processing CASCADE")
            .await?;
        self.sql("CHECKPOINT").await
    }

    /// A proxy in front of the server, and the URL of the database through it.
    pub(crate) fn proxy(&self) -> anyhow::Result<(Proxy, String)> {
        let socket = format!(".s.PGSQL.{}", self.connect.get_port());
        let proxy = Proxy::start(&folder(&self.connect)?.join(socket))?;
        let url = url_of(&self.connect.clone().socket(proxy.folder()))?;
        Ok((proxy, url))
    }

    /// Transactions that the server has counted in the database, those rolled back among them.
    pub(crate) async fn transactions(&mut self) -> anyhow::Result<i64> {
        let count = sqlx::query_scalar(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = $1",
        );
        Ok(count.bind(&self.name).fetch_one(&mut self.outside).await?)
    }

    /// The same, and rows written.
    pub(crate) async fn activity(&mut self) -> anyhow::Result<(i64, i64)> {
        let counts = sqlx::query_as(
            "SELECT xact_commit + xact_rollback, tup_inserted + tup_updated + tup_deleted
               FROM pg_stat_database WHERE datname = $1",
        );
        Ok(counts.bind(&self.name).fetch_one(&mut self.outside).await?)
    }

    /// The jobs must have done it all.
    pub(crate) async fn expect_all_completed(&mut self) -> anyhow::Result<()> {
        let left = self
            .count("SELECT count(*) FROM notification_processing WHERE processing_status <> 'completed'")
            .await?;
        anyhow::ensure!(left == 0, "{left} events did not complete");
        Ok(())
    }
}
