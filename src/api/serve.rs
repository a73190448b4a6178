//! Connections: accepted, bounded, timed and drained.
//!
//! Owns the accept loop. Invariant: a client that sends its head slowly, or never, holds a
//! connection no longer than `head_time_max`, and the end waits no longer than `drain_max`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::auth::Auth;
use super::gate::Peer;
use super::view::View;
use super::{Settings, Shared, route};
use crate::telemetry::Metrics;

/// Serves until `shutdown` is done, then lets open requests end.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    view: Arc<dyn View>,
    metrics: Metrics,
    shutdown: impl Future<Output = ()> + Send,
) {
    let limits = settings.limits;
    let (stopping, stop) = watch::channel(false);
    let router = route::router(Shared {
        view,
        metrics,
        auth: Arc::new(Auth::new(settings.tokens)),
        limits,
        requests: Arc::new(Semaphore::new(limits.requests_max)),
        streams: Arc::new(Semaphore::new(limits.streams_max)),
        stop: stop.clone(),
    });
    let mut open = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        crate::crash::point("http-accepting");
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = open.join_next(), if !open.is_empty() => {}
            accepted = listener.accept(), if open.len() < limits.connections_max => match accepted {
                Ok((stream, peer)) => {
                    let head = limits.head_time_max;
                    open.spawn(connection(stream, Peer(peer), router.clone(), head, stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Most often the limit of open files: trying at once would only spin.
                    if timeout(Duration::from_millis(100), &mut shutdown).await.is_ok() {
                        break;
                    }
                }
            },
        }
    }
    drop(listener);
    stopping.send_replace(true);
    let drained = timeout(limits.drain_max, async {
        while open.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        tracing::warn!(connections = open.len(), "requests were cut off at the end");
    }
}

async fn connection(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    head_time_max: Duration,
    mut stop: watch::Receiver<bool>,
) {
    crate::crash::point("connection-opened");
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        inner.call(request)
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(head_time_max)
        .max_headers(64);
    builder.max_buf_size(32 * 1024);
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => Some(ended),
        () = async { drop(stop.wait_for(|stop| *stop).await) } => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, peer = %peer.0, "a connection ended early");
    }
}
