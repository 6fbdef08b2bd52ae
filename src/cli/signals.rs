//! SIGTERM and SIGINT: the first lets the batch in hand finish, the second ends at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first signal cancels. The second one ends the process: an open transaction
/// is rolled back by the server, and what was claimed is rescued later.
pub(super) fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let told = stop.clone();
    tokio::spawn(async move {
        loop {
            let number = tokio::select! {
                _ = terminate.recv() => 15,
                _ = interrupt.recv() => 2,
            };
            if told.is_cancelled() {
                tracing::warn!("second signal: ending at once");
                std::process::exit(128 + number);
            }
            tracing::info!("stopping after the batch in hand");
            told.cancel();
        }
    });
    Ok(stop)
}
