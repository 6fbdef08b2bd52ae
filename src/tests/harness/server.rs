//! A PostgreSQL server: the one that `scripts/test.sh` started, or a throw-away one of a test's own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection, PgConnection};

use super::template::Template;

const HINT: &str = "is not set: call ./scripts/test.sh, which starts a PostgreSQL for the tests";

/// The login role that the job runs as; made by `scripts/grants.sql`.
pub(crate) const JOB_ROLE: &str = "notify_fan_out";

/// Where a server listens, for its superuser.
#[derive(Debug)]
pub(crate) struct Server {
    /// Up to and with the `//`, then user, then host and port, then the query.
    user: String,
    host: String,
    query: String,
    pub(super) template: Template,
    own: Option<OwnServer>,
}

impl Server {
    /// The server that all tests share.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: std::sync::LazyLock<Server> = std::sync::LazyLock::new(|| {
            let url = std::env::var("TEST_DATABASE_URL")
                .unwrap_or_else(|_| panic!("TEST_DATABASE_URL {HINT}"));
            Server::at(&url, None)
        });
        &SHARED
    }

    /// A server of a test's own, for tests that restart it or change what belongs to all of its
    /// databases. It ends with the value.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// One with options as `postgres` takes them.
    pub(crate) fn start_with(options: &str) -> Self {
        Self::of(OwnServer::start(options))
    }

    fn of(own: OwnServer) -> Self {
        let url = format!(
            "postgres://postgres@localhost:5432/postgres?host={}",
            own.folder.path().display().to_string().replace('/', "%2F")
        );
        Self::at(&url, Some(own))
    }

    fn at(url: &str, own: Option<OwnServer>) -> Self {
        let (_, rest) = url.split_once("://").expect("a URL");
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, _database) = place.split_once('/').unwrap_or((place, ""));
        let (user, host) = authority.rsplit_once('@').expect("a URL with a user");
        Self {
            user: user.to_owned(),
            host: host.to_owned(),
            query: query.to_owned(),
            template: Template::default(),
            own,
        }
    }

    /// The URL of a database on it, for the superuser.
    pub(crate) fn url(&self, database: &str) -> String {
        self.url_as(&self.user, database)
    }

    /// The URL of a database on it, for a user without a password.
    pub(crate) fn url_as(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@{}/{database}?{}", self.host, self.query)
    }

    /// The folder of its socket and its port, for programs that take them apart.
    pub(crate) fn socket(&self) -> (String, u16) {
        let socket = self
            .query
            .split('&')
            .find_map(|pair| pair.strip_prefix("host="))
            .expect("a server that listens on a socket")
            .replace("%2F", "/");
        let port = self
            .host
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok());
        (socket, port.unwrap_or(5432))
    }

    /// A superuser's connection.
    pub(crate) async fn connect(&self, database: &str) -> PgConnection {
        let url = self.url(database);
        PgConnection::connect(&url)
            .await
            .unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    /// The name of a new database, not made yet.
    pub(super) fn new_name() -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        format!("test_{}_{number}", std::process::id())
    }

    /// A standby that has all that is committed here by now and takes no writes.
    pub(crate) fn standby(&self) -> Self {
        let folder = unprivileged_folder();
        succeed(
            unprivileged(server_program("pg_basebackup"))
                .args([
                    "--write-recovery-conf",
                    "--checkpoint=fast",
                    "--no-sync",
                    "-d",
                ])
                .arg(self.url("postgres"))
                .arg("-D")
                .arg(folder.path().join("data")),
        );
        let own = OwnServer {
            folder,
            options: String::new(),
        };
        own.pg_ctl(&["start"]);
        Self::of(own)
    }

    /// Stops and starts it again, as an administrator would, and waits until it is there.
    pub(crate) fn restart(&self) {
        self.own().pg_ctl(&["restart", "-m", "fast"]);
    }

    /// Stops it in the middle of everything.
    pub(crate) fn crash(&self) {
        self.own().pg_ctl(&["stop", "-m", "immediate"]);
    }

    /// Starts it after [`Self::crash`].
    pub(crate) fn start_again(&self) {
        self.own().pg_ctl(&["start"]);
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        let log = std::fs::read(self.own().folder.path().join("log")).expect("a log");
        String::from_utf8_lossy(&log).into_owned()
    }

    fn own(&self) -> &OwnServer {
        self.own.as_ref().expect("a server of the test's own")
    }
}

/// A program of the server's package.
pub(crate) fn server_program(name: &str) -> PathBuf {
    let folder = std::env::var_os("TEST_PG_BIN").unwrap_or_else(|| panic!("TEST_PG_BIN {HINT}"));
    Path::new(&folder).join(name)
}

/// Runs a file of statements on a database, up to the first that fails.
pub(crate) fn psql(url: &str, file: impl AsRef<Path>) -> Command {
    let mut command = Command::new(server_program("psql"));
    command
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"])
        .arg(file.as_ref())
        .arg(url)
        .current_dir("/");
    command
}

/// A command that runs as an account that servers accept, with a folder that belongs to it.
pub(crate) fn unprivileged(program: impl AsRef<std::ffi::OsStr>) -> Command {
    match std::env::var("TEST_RUN_AS") {
        Ok(account) if !account.is_empty() => {
            let mut command = Command::new("runuser");
            command.args(["-u", &account, "--"]).arg(program);
            command
        }
        _ => Command::new(program),
    }
}

/// A folder that belongs to the account of [`unprivileged`]. Its path is short, as those of
/// sockets have to be.
pub(crate) fn unprivileged_folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new()
        .prefix("nfo-")
        .tempdir_in("/tmp")
        .expect("a folder");
    if let Ok(account) = std::env::var("TEST_RUN_AS")
        && !account.is_empty()
    {
        succeed(Command::new("chown").arg(account).arg(folder.path()));
    }
    folder
}

/// Runs a command and panics with its output if it fails.
pub(crate) fn succeed(command: &mut Command) {
    let output = command
        .current_dir("/")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}

#[derive(Debug)]
struct OwnServer {
    folder: tempfile::TempDir,
    options: String,
}

impl OwnServer {
    fn start(options: &str) -> Self {
        let own = Self {
            folder: unprivileged_folder(),
            options: options.to_owned(),
        };
        succeed(
            unprivileged(server_program("initdb"))
                .arg("-D")
                .arg(own.data())
                .args("-U postgres -E UTF8 --locale=C -A trust --no-sync".split(' ')),
        );
        own.pg_ctl(&["start"]);
        own
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn pg_ctl(&self, arguments: &[&str]) {
        let options = format!(
            "-k {} -c listen_addresses='' -c fsync=off -c max_connections=50 -c shared_buffers=32MB \
             -c deadlock_timeout=200ms {}",
            self.folder.path().display(),
            self.options,
        );
        succeed(
            unprivileged(server_program("pg_ctl"))
                .args(arguments)
                .args(["-w", "-s", "-t", "60"])
                .arg("-D")
                .arg(self.data())
                .arg("-l")
                .arg(self.folder.path().join("log"))
                .arg("-o")
                .arg(options),
        );
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // It may be stopped already.
        let _ = unprivileged(server_program("pg_ctl"))
            .args(["stop", "-m", "immediate", "-s", "-D"])
            .arg(self.data())
            .current_dir("/")
            .output();
    }
}
