//! SIGTERM and SIGINT: the first lets the batch in hand finish, the second ends at once.

use std::io;
use std::sync::mpsc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first signal cancels. The second one ends the process: an open transaction
/// is rolled back by the server, and what was claimed is rescued later.
///
/// Signals are received on a thread of their own, however busy the others are.
pub(super) fn stop_on_signal() -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let (ready, is_ready) = mpsc::channel();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let result = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()
                .and_then(|runtime| {
                    let signals = {
                        let _context = runtime.enter();
                        (
                            signal(SignalKind::terminate())?,
                            signal(SignalKind::interrupt())?,
                        )
                    };
                    let _ = ready.send(Ok(()));
                    runtime.block_on(receive(signals, &stopped));
                    Ok(())
                });
            if let Err(error) = result {
                let _ = ready.send(Err(error));
            }
        })?;
    is_ready
        .recv()
        .unwrap_or_else(|gone| Err(io::Error::other(gone)))?;
    Ok(stop)
}

async fn receive((mut terminate, mut interrupt): (Signal, Signal), stop: &CancellationToken) {
    loop {
        let number = tokio::select! {
            _ = terminate.recv() => 15,
            _ = interrupt.recv() => 2,
        };
        if stop.is_cancelled() {
            tracing::warn!("second signal: ending at once");
            std::process::exit(128 + number);
        }
        tracing::info!("stopping after the batch in hand");
        stop.cancel();
    }
}
