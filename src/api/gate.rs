//! What every request passes before its route, outermost first: count, load, time, origin, token.
//!
//! Owns limits and headers common to all answers. Invariants: a page of another site can neither
//! read nor decide anything through a browser here; a refused request has cost next to nothing.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, timeout};

use super::auth::Scope;
use super::{Problem, Shared, route};
use crate::telemetry::Label;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Counts the request and puts common headers on its answer.
pub(super) async fn account(
    State(shared): State<Shared>,
    request: Request,
    next: Next,
) -> Response {
    let label = route::label(request.uri().path());
    let began = Instant::now();
    let mut response = next.run(request).await;
    let status = Label::from(i32::from(response.status().as_u16()));
    shared.metrics.http_requests.add([label.into(), status], 1);
    shared
        .metrics
        .http_latency_seconds
        .observe([label.into()], began.elapsed().as_secs_f64());
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let keep = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(keep);
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(policy);
    response
}

/// Refuses what is beyond the load, and ends what takes too long. Health is always answered.
pub(super) async fn limit(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let health = matches!(request.uri().path(), "/healthz" | "/readyz");
    let permit = shared.requests.try_acquire();
    if permit.is_err() && !health {
        return refuse(
            &shared,
            "load",
            Problem::unavailable("too many requests at once").with(header::RETRY_AFTER, "1"),
        );
    }
    match timeout(shared.limits.time_max, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let seconds = shared.limits.time_max.as_secs();
            let detail = format!("it was not done within {seconds} seconds");
            refuse(&shared, "time", Problem::too_slow(detail))
        }
    }
}

/// Refuses what a browser sends for a page of another site.
pub(super) async fn origin(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    // Without tokens whoever reaches this machine is trusted, so a name that an attacker lets
    // point to it (DNS rebinding) must not do.
    if shared.auth.is_open() && !host(headers).is_some_and(is_this_machine) {
        let detail = "ask for 127.0.0.1 or localhost, or set up tokens";
        return refuse(&shared, "origin", Problem::forbidden(detail));
    }
    if request.method() != Method::GET && request.method() != Method::HEAD && is_cross(headers) {
        let detail = "a page of another site may not do this";
        return refuse(&shared, "origin", Problem::forbidden(detail));
    }
    next.run(request).await
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok()
}

fn is_this_machine(authority: &str) -> bool {
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// True if a browser says that the page which sends this is of another site.
fn is_cross(headers: &HeaderMap) -> bool {
    if headers
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin" && site != "none")
    {
        return true;
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    let origin = origin.to_str().ok().and_then(|o| o.split_once("://"));
    origin.map(|(_, authority)| authority) != host(headers)
}

/// What a group of routes needs.
#[derive(Clone)]
pub(super) struct Needs(pub(super) Shared, pub(super) Scope);

/// Refuses who may not do this; notes who may.
pub(super) async fn token(
    State(Needs(shared, scope)): State<Needs>,
    mut request: Request,
    next: Next,
) -> Response {
    let from = request
        .extensions()
        .get::<Peer>()
        .map_or(IpAddr::from([0, 0, 0, 0]), |p| p.0.ip());
    match shared
        .auth
        .check(request.headers(), scope, from, Instant::now())
    {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => {
            let reason = match problem.status {
                429 => "lockout",
                403 => "scope",
                _ => "token",
            };
            tracing::warn!(%from, reason, "a request was refused");
            refuse(&shared, reason, problem)
        }
    }
}

fn refuse(shared: &Shared, reason: &'static str, problem: Problem) -> Response {
    shared.metrics.http_refused.add([reason.into()], 1);
    problem.into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_by_any_of_its_names() {
        for good in [
            "localhost:8080",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]:8080",
            "LOCALHOST.",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_this_machine(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "[::2]",
            "10.0.0.1",
        ] {
            assert!(!is_this_machine(bad), "{bad}");
        }
    }
}
