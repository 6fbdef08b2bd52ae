//! The throw-away database that everything is measured on.

use anyhow::Context;
use notify_fan_out::config::{RunFlags, Source};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::job;
use super::options::Options;
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
    name: String,
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

/// How many events the job claims at once where nobody says otherwise.
pub(crate) fn batch_size() -> anyhow::Result<u32> {
    let defaults = Source(&|_| None).settings(&RunFlags::default(), String::new())?;
    Ok(defaults.batch_size)
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
        let url = server.database(&name).to_url_lossy().to_string();
        job::run(&url, 1, &["migrate"]).context("migrate")?;
        let mut lab = Self::open(options, name, outside).await?;
        lab.build_world().await?;
        lab.change_settings().await?;
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
        // Without a word about each page in the log, where the server has the choice.
        let strategy = match outside.server_version_num() {
            Some(version) if version >= 150_000 => "STRATEGY file_copy",
            _ => "",
        };
        let source = format!("TEMPLATE {original} {strategy}");
        create(&mut outside, &name, &source).await?;
        let for_copy = PgConnection::connect_with(&server()?).await?;
        let mut copy = Self::open(options.clone(), name, for_copy).await?;
        copy.change_settings().await?;
        Ok((Self::open(options, original, outside).await?, copy))
    }

    /// Connects to a database that is there.
    async fn open(options: Options, name: String, outside: PgConnection) -> anyhow::Result<Self> {
        let connect = server()?.database(&name);
        let mut lab = Self {
            options,
            db: PgConnection::connect_with(&connect).await?,
            outside,
            url: connect.to_url_lossy().to_string(),
            name,
            connect,
        };
        let events = [("events", lab.options.events())];
        for (name, size) in lab.options.world.sizes().into_iter().chain(events) {
            lab.sql(&format!("SET bench.{name} = {size}")).await?;
        }
        Ok(lab)
    }

    async fn build_world(&mut self) -> anyhow::Result<()> {
        self.sql("CREATE SCHEMA bench").await?;
        self.sql(include_str!("world.sql")).await?;
        if self.options.own_can_view {
            self.sql(include_str!("own_can_view.sql")).await?;
        }
        self.sql(include_str!("events.sql")).await?;
        self.sql("CREATE UNLOGGED TABLE bench.events AS SELECT * FROM domain_events ORDER BY id")
            .await?;
        self.sql("ALTER TABLE bench.events ADD PRIMARY KEY (id)")
            .await?;
        self.sql("VACUUM (ANALYZE)").await
    }

    /// What the options say, for connections to come.
    async fn change_settings(&mut self) -> anyhow::Result<()> {
        for setting in self.options.settings.clone() {
            self.sql(&format!("ALTER DATABASE {} SET {setting}", self.name))
                .await?;
        }
        Ok(())
    }

    /// A new connection, which has nothing cached.
    pub(crate) async fn connect(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect_with(&self.connect).await
    }

    /// A transaction that has taken its snapshot and holds the horizon until the connection ends.
    pub(crate) async fn hold(&self) -> sqlx::Result<PgConnection> {
        let mut holder = self.connect().await?;
        sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT txid_current_snapshot()")
            .execute(&mut holder)
            .await?;
        Ok(holder)
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

    /// A proxy in front of the server, and the URL of the database through it.
    pub(crate) fn proxy(&self) -> anyhow::Result<(Proxy, String)> {
        let folder = self
            .connect
            .get_socket()
            .context("the server has to listen on a Unix socket")?;
        let proxy = Proxy::start(&folder.join(format!(".s.PGSQL.{}", self.connect.get_port())))?;
        // Asking for TLS first is connecting, and not what is counted.
        let connect = self
            .connect
            .clone()
            .socket(proxy.folder())
            .ssl_mode(PgSslMode::Disable);
        Ok((proxy, connect.to_url_lossy().to_string()))
    }

    /// Transactions that the server has counted in the database.
    pub(crate) async fn commits(&mut self) -> anyhow::Result<i64> {
        let count =
            sqlx::query_scalar("SELECT xact_commit FROM pg_stat_database WHERE datname = $1");
        Ok(count.bind(&self.name).fetch_one(&mut self.outside).await?)
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
