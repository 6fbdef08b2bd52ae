//! `serve`: both stages as one process that goes on until it is stopped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures_util::future::BoxFuture;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{ExitStatus, Failure, connect, database_failure, job, signals, wiring};
use crate::config::{Config, Given, InvalidConfig};
use crate::daemon::{self, Daemon, Hub, Reports, WakeMode};
use crate::delivery::{DeliveryReport, DeliverySettings};
use crate::fan_out::{FanOutReport, FanOutSettings};
use crate::http::{self, Served};
use crate::metrics::Live;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out serve                             until SIGTERM or SIGINT
  notify-fan-out serve --listen 127.0.0.1:9464     with /healthz, /readyz and /metrics
  notify-fan-out serve --no-deliver                the fan-out alone

Notifications are written milliseconds after the commit of their event. Minute jobs and other daemons may
run beside it, on one machine or several: they share the work. SIGHUP reads .env and the templates again; what
is wrong there is refused, and the daemon goes on as before.")]
pub(super) struct Arguments {
    /// Do not claim events
    #[arg(long, conflicts_with = "no_deliver")]
    no_fan_out: bool,
    /// Do not deliver
    #[arg(long)]
    no_deliver: bool,
}

pub(super) async fn execute(
    arguments: Arguments,
    config: &Config,
    given: &Given,
) -> Result<ExitStatus, Failure> {
    let stop = signals::stop_on_signal()?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut daemon = daemon(&arguments, config)?;
    check(&daemon).await?;
    let state = Arc::new(State {
        hub: Hub::new(config.poll_max),
        metrics: Live::new(daemon.database.clone()),
    });
    let server = match config.http_listen {
        Some(address) => Some(open(address, Arc::clone(&state), &stop).await?),
        None => None,
    };
    let serving = async {
        loop {
            let round = stop.child_token();
            let serving = daemon::serve(daemon, &state.hub, &*state, &round, &stop);
            let mut serving = std::pin::pin!(serving);
            loop {
                tokio::select! {
                    () = &mut serving => return,
                    _ = hangup.recv() => {}
                }
                match reload(&arguments, given) {
                    Ok(next) => {
                        tracing::info!("going on with the configuration as it is now");
                        round.cancel();
                        serving.await;
                        daemon = next;
                        break;
                    }
                    Err(failure) => tracing::error!("going on as before: {failure}"),
                }
            }
        }
    };
    tokio::join!(serving, daemon::supervise(&state.hub, &stop));
    if let Some(server) = server {
        let _ = server.await;
    }
    Ok(ExitStatus::Success)
}

/// What the configuration makes.
fn daemon(arguments: &Arguments, config: &Config) -> Result<Daemon, Failure> {
    let id = job::processor_id();
    let fan_out = (!arguments.no_fan_out).then(|| config.fan_out(None, id.clone()));
    let delivery = (!arguments.no_deliver).then(|| wiring::sender(config));
    Ok(Daemon {
        database: config.database()?,
        listen: config.listen_database()?,
        mode: config.wake,
        // Each round of work is limited by nothing but the signal to stop.
        fan_out: fan_out.transpose()?.map(|settings| FanOutSettings {
            max_runtime: Duration::MAX,
            ..settings
        }),
        delivery: delivery.transpose()?.map(|sender| {
            let settings = config.delivery(None, id.clone());
            let settings = DeliverySettings {
                max_runtime: Duration::MAX,
                ..settings
            };
            (sender, settings)
        }),
        id,
        stuck_after: config.stuck_after,
        digest_every: config.digest_every,
    })
}

/// A daemon that can't work is refused at its start; what fails later is waited for.
async fn check(daemon: &Daemon) -> Result<(), Failure> {
    let database = &daemon.database;
    connect(database).await?;
    if daemon.mode != WakeMode::Listen {
        return Ok(());
    }
    let listen = daemon.listen.as_ref().unwrap_or(database);
    let can_listen = daemon::can_listen(listen, database).await;
    if can_listen.map_err(|error| database_failure(listen, error))? {
        return Ok(());
    }
    let problem = "is listen, and notifications do not arrive on the connection, as behind a pooler in transaction \
                   mode. Set NOTIFY_LISTEN_URL to a direct address of the database";
    Err(InvalidConfig::new("NOTIFY_WAKE", problem.to_owned()).into())
}

/// The daemon of the configuration as it is now.
fn reload(arguments: &Arguments, given: &Given) -> Result<Daemon, Failure> {
    let pairs = match dotenvy::dotenv_iter() {
        Ok(pairs) => pairs.collect::<Result<Vec<_>, _>>(),
        Err(error) if error.not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let pairs = pairs.map_err(|error| Failure::Refused(super::program::unreadable(&error)))?;
    let (config, wrong) = Config::read(&given.with_dotenv(pairs));
    if !wrong.is_empty() {
        return Err(Failure::Config(wrong));
    }
    daemon(arguments, &config)
}

async fn open(
    address: SocketAddr,
    state: Arc<State>,
    stop: &CancellationToken,
) -> Result<JoinHandle<std::io::Result<()>>, Failure> {
    let listener = http::listen(address).await.map_err(|error| {
        let problem = format!("{address} can't be opened: {error}");
        InvalidConfig::new("NOTIFY_HTTP_LISTEN", problem)
    })?;
    tracing::info!("answering at http://{}", listener.local_addr()?);
    Ok(tokio::spawn(http::serve(listener, state, stop.clone())))
}

/// What the pages show.
struct State {
    hub: Hub,
    metrics: Live,
}

impl Served for State {
    fn problems(&self) -> Vec<String> {
        self.hub.problems()
    }

    fn metrics(&self) -> BoxFuture<'_, String> {
        Box::pin(async { self.metrics.text(&self.hub.state()).await })
    }
}

impl Reports for State {
    fn fan_out(&self, report: &FanOutReport, seconds: f64, succeeded: bool) {
        self.metrics.fan_out(report, seconds, succeeded);
    }

    fn delivery(&self, report: &DeliveryReport, seconds: f64, succeeded: bool) {
        self.metrics.delivery(report, seconds, succeeded);
    }
}
