//! The HTTP server of `serve`: health and metrics.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the server tells.
pub(crate) trait Served: Send + Sync + 'static {
    /// Why the daemon can't work, a line each; empty if it can.
    fn problems(&self) -> Vec<String>;

    /// The metrics, in Prometheus' text format.
    fn metrics(&self) -> BoxFuture<'_, String>;
}

/// Answers until it is stopped; requests in hand are answered first.
pub(crate) async fn serve(
    listener: TcpListener,
    served: Arc<dyn Served>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(served))
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await
}

/// Opens the address.
pub(crate) async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

fn router(served: Arc<dyn Served>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(served)
}

async fn ready(State(served): State<Arc<dyn Served>>) -> impl IntoResponse {
    match served.problems() {
        problems if problems.is_empty() => (StatusCode::OK, "ready\n".to_owned()),
        problems => (StatusCode::SERVICE_UNAVAILABLE, problems.join("\n") + "\n"),
    }
}

async fn metrics(State(served): State<Arc<dyn Served>>) -> impl IntoResponse {
    let format = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, format)], served.metrics().await)
}
