//! The HTTP side: health, metrics, the JSON API, the pull stream and the console.
//!
//! Owns requests, answers, tokens and limits. It sees the rest of the program only through `View`
//! and never touches store or delivery. Invariants: it does not listen beyond this machine without
//! tokens; every error is a problem document (RFC 9457); no request can hold more than its share
//! of memory, time or connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::telemetry::Metrics;

mod answer;
pub mod auth;
mod console;
mod gate;
pub mod mutes;
pub mod openapi;
mod problem;
mod query;
mod route;
mod serve;
mod stream;
pub mod view;

pub use auth::{Scope, Token};
pub use problem::Problem;
pub use serve::serve;
pub use view::View;

/// How the server listens, who may do what, and its limits.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Bearer tokens; without any, everyone who reaches the server may do everything.
    pub tokens: Vec<Token>,
    /// What one request or all of them together may take.
    pub limits: Limits,
}

/// Limits of the server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most connections at once; further ones wait in the system's queue.
    pub connections_max: usize,
    /// The most requests at work at once; further ones get 503.
    pub requests_max: usize,
    /// The most pull streams at once; further ones get 503.
    pub streams_max: usize,
    /// The most bytes of a request's body.
    pub body_max: usize,
    /// The longest a request may take, its body included.
    pub time_max: Duration,
    /// The longest a client may take to send a request's head.
    pub head_time_max: Duration,
    /// The longest open requests are waited for at the end.
    pub drain_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 512,
            requests_max: 64,
            streams_max: 64,
            body_max: 64 * 1024,
            time_max: Duration::from_secs(10),
            head_time_max: Duration::from_secs(10),
            drain_max: Duration::from_secs(5),
        }
    }
}

/// Why the server does not start.
#[derive(Debug, Error)]
pub enum ApiError {
    /// It would be open to the network.
    #[error(
        "{0} is open to the network but there are no tokens: add http.tokens, or listen on 127.0.0.1"
    )]
    Open(SocketAddr),
    /// A token is too short to be a secret.
    #[error("token {0} is shorter than 16 characters: make one with openssl rand -hex 32")]
    ShortToken(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}; is another tidegate running?")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: std::io::Error,
    },
}

/// Takes the address, early, so that a fault shows before anything else starts.
///
/// # Errors
/// The address is taken, or is open to the network without tokens.
pub async fn bind(settings: &Settings) -> Result<TcpListener, ApiError> {
    let address = settings.listen;
    if !address.ip().is_loopback() && settings.tokens.is_empty() {
        return Err(ApiError::Open(address));
    }
    if let Some(short) = settings.tokens.iter().find(|t| t.is_short()) {
        return Err(ApiError::ShortToken(short.name().to_owned()));
    }
    TcpListener::bind(address)
        .await
        .map_err(|reason| ApiError::Bind { address, reason })
}

/// What every request can reach.
#[derive(Clone)]
struct Shared {
    view: Arc<dyn View>,
    metrics: Metrics,
    auth: Arc<auth::Auth>,
    limits: Limits,
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

#[cfg(test)]
mod tests;
