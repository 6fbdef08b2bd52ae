//! A `PgBouncer` in transaction mode before a test's database.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use notify_fan_out::db::{Access, Unnamed};

use super::server::{unprivileged, unprivileged_folder};
use super::{TestDatabase, database_at};

/// Several server connections, used in turns: consecutive transactions meet different ones.
#[derive(Debug)]
pub(crate) struct Pooler {
    folder: tempfile::TempDir,
    child: Child,
    database: String,
    user: String,
}

impl Pooler {
    /// Starts one for the job's user, or the superuser.
    pub(crate) async fn before(db: &TestDatabase<'_>, as_superuser: bool) -> Self {
        let (socket, port) = db.server.socket();
        let folder = unprivileged_folder();
        let url = if as_superuser {
            db.superuser_url()
        } else {
            db.url()
        };
        let user = url["postgres://".len()..url.find('@').expect("a user")].to_owned();
        let path = folder.path().display();
        let configuration = format!(
            "[databases]\n\
             * = host={socket} port={port} user={user}\n\
             [pgbouncer]\n\
             pool_mode = transaction\n\
             default_pool_size = 8\n\
             min_pool_size = 4\n\
             server_round_robin = 1\n\
             # Every client is the user given above.\n\
             auth_type = any\n\
             listen_addr =\n\
             listen_port = 6432\n\
             unix_socket_dir = {path}\n\
             admin_users = admin\n\
             logfile = {path}/log\n\
             pidfile = {path}/pid\n"
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, configuration).expect("a configuration");
        let child = unprivileged(program())
            .arg(&file)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("PgBouncer");
        let pooler = Self {
            folder,
            child,
            database: db.name().to_owned(),
            user,
        };
        pooler.until_ready().await;
        pooler
    }

    /// The URL of the test's database through it.
    pub(crate) fn url(&self) -> String {
        let socket = self.folder.path().display().to_string().replace('/', "%2F");
        format!(
            "postgres://{}@localhost:6432/{}?host={socket}",
            self.user, self.database
        )
    }

    /// Waits until consecutive transactions meet different servers.
    async fn until_ready(&self) {
        let since = Instant::now();
        loop {
            match self.servers().await {
                Ok(servers) if servers.len() > 1 => return,
                result => {
                    let log = std::fs::read_to_string(self.folder.path().join("log"));
                    let last = log.unwrap_or_default().lines().last().map(str::to_owned);
                    assert!(
                        since.elapsed() < Duration::from_secs(20),
                        "{result:?}: {last:?}"
                    );
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    /// The processes of the servers that some transactions meet, as the job begins them.
    async fn servers(&self) -> Result<BTreeSet<i32>, sqlx::Error> {
        let mut session = database_at(&self.url()).connect().await?;
        let mut servers = BTreeSet::new();
        for _ in 0..8 {
            let mut transaction = session.begin(Access::ReadOnly).await?;
            let server = sqlx::query_scalar("SELECT pg_backend_pid()");
            servers.insert(server.fetch_one(Unnamed(&mut transaction)).await?);
            transaction.rollback().await?;
        }
        session.close().await?;
        Ok(servers)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // Its own process, not that of the program that changed the account.
        if let Ok(pid) = std::fs::read_to_string(self.folder.path().join("pid")) {
            let _ = std::process::Command::new("kill")
                .args(["-s", "TERM", pid.trim()])
                .status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    std::env::var_os("TEST_PGBOUNCER")
        .expect("TEST_PGBOUNCER is not set: call ./scripts/test.sh")
        .into()
}
