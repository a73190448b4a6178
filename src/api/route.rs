//! The routes: which address does what, and what it needs.
//!
//! Owns the table that router, tokens, metrics and the OpenAPI document share, and the routes'
//! functions, each a few lines over `View`. Invariant: a route that is not in the table does not
//! exist, and one that is in it is documented.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use serde::{Deserialize, Serialize};

use super::answer::{self, Answer, blocking};
use super::auth::{Caller, Scope};
use super::gate::{self, Needs};
use super::query::{self, Given};
use super::view::{ActionView, Decision, Readiness};
use super::{Problem, Shared, console, mutes, openapi, stream};
use crate::engine::containment::Receipt;
use crate::engine::containment::policy::Answer as Verdict;
use crate::telemetry::Metrics;

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// `None` needs no token.
    pub(super) scope: Option<Scope>,
    pub(super) summary: &'static str,
}

const fn route(
    method: &'static str,
    path: &'static str,
    scope: Option<Scope>,
    summary: &'static str,
) -> Route {
    Route {
        method,
        path,
        scope,
        summary,
    }
}

const READ: Option<Scope> = Some(Scope::Read);
const OPERATE: Option<Scope> = Some(Scope::Operate);
const CONTAIN: Option<Scope> = Some(Scope::Contain);
const ADMIN: Option<Scope> = Some(Scope::Admin);

/// Every route.
pub(super) const ROUTES: &[Route] = &[
    route("get", "/", None, "the console"),
    route(
        "get",
        "/healthz",
        None,
        "200 while the process is alive and no task has ended",
    ),
    route(
        "get",
        "/readyz",
        None,
        "200 while events flow, else 503 with the reasons",
    ),
    route("get", "/metrics", READ, "all metrics as OpenMetrics text"),
    route("get", "/api/v1/openapi.json", None, "this document"),
    route("get", "/api/v1/alerts", READ, "alerts, newest first"),
    route(
        "get",
        "/api/v1/alerts/{id}",
        READ,
        "one alert with its revisions",
    ),
    route(
        "get",
        "/api/v1/actions",
        READ,
        "actions, newest change first",
    ),
    route(
        "get",
        "/api/v1/actions/stream",
        READ,
        "the active set and then every change, as server-sent events",
    ),
    route(
        "get",
        "/api/v1/actions/{id}",
        READ,
        "one action with receipts and deliveries",
    ),
    route(
        "post",
        "/api/v1/actions/{id}/approve",
        CONTAIN,
        "lets a waiting action begin",
    ),
    route(
        "post",
        "/api/v1/actions/{id}/deny",
        CONTAIN,
        "ends a waiting action",
    ),
    route(
        "post",
        "/api/v1/actions/{id}/revert",
        CONTAIN,
        "takes an active action back",
    ),
    route(
        "post",
        "/api/v1/receipts",
        CONTAIN,
        "what an enforcer did about an action",
    ),
    route("get", "/api/v1/silences", READ, "silences, newest first"),
    route("post", "/api/v1/silences", OPERATE, "begins a silence"),
    route(
        "post",
        "/api/v1/silences/preview",
        READ,
        "what a silence would have muted",
    ),
    route(
        "delete",
        "/api/v1/silences/{id}",
        OPERATE,
        "ends a silence now",
    ),
    route(
        "get",
        "/api/v1/allow",
        READ,
        "entries of the allow-list that people added, newest first",
    ),
    route(
        "post",
        "/api/v1/allow",
        ADMIN,
        "keeps containment off a target for a time",
    ),
    route(
        "delete",
        "/api/v1/allow/{id}",
        ADMIN,
        "ends an entry of the allow-list now",
    ),
    route("get", "/api/v1/detectors", READ, "the detectors in force"),
    route(
        "get",
        "/api/v1/timeline",
        READ,
        "events, alerts and actions per stretch of time",
    ),
];

/// The route of a path as a metric's label: one of the table's, or `other`.
pub(super) fn label(path: &str) -> &'static str {
    let fits = |pattern: &str| {
        let (mut p, mut q) = (pattern.split('/'), path.split('/'));
        loop {
            match (p.next(), q.next()) {
                (None, None) => return true,
                (Some(p), Some(q)) if p == q || (p == "{id}" && !q.is_empty()) => {}
                (Some(_) | None, Some(_) | None) => return false,
            }
        }
    };
    ROUTES
        .iter()
        .find(|route| fits(route.path))
        .map_or("other", |route| route.path)
}

/// The function of a route. Nothing but the table calls it.
fn function(route: &Route) -> Option<MethodRouter<Shared>> {
    Some(match (route.method, route.path) {
        ("get", "/") => get(console::page),
        ("get", "/healthz") => get(health),
        ("get", "/readyz") => get(ready),
        ("get", "/metrics") => get(metrics),
        ("get", "/api/v1/openapi.json") => get(openapi::document),
        ("get", "/api/v1/alerts") => get(alerts),
        ("get", "/api/v1/alerts/{id}") => get(alert),
        ("get", "/api/v1/actions") => get(actions),
        ("get", "/api/v1/actions/stream") => get(stream::follow),
        ("get", "/api/v1/actions/{id}") => get(action),
        ("post", "/api/v1/actions/{id}/approve") => post(approve),
        ("post", "/api/v1/actions/{id}/deny") => post(deny),
        ("post", "/api/v1/actions/{id}/revert") => post(revert),
        ("post", "/api/v1/receipts") => post(receive),
        ("get", "/api/v1/silences") => get(mutes::silences),
        ("post", "/api/v1/silences") => post(mutes::add_silence),
        ("post", "/api/v1/silences/preview") => post(mutes::preview),
        ("delete", "/api/v1/silences/{id}") => delete(mutes::end_silence),
        ("get", "/api/v1/allow") => get(mutes::allowed),
        ("post", "/api/v1/allow") => post(mutes::add_allow),
        ("delete", "/api/v1/allow/{id}") => delete(mutes::end_allow),
        ("get", "/api/v1/detectors") => get(detectors),
        ("get", "/api/v1/timeline") => get(timeline),
        _ => return None,
    })
}

/// The router over all of them.
pub(super) fn router(shared: Shared) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let Some(mut function) = function(route) else {
            continue;
        };
        if let Some(scope) = route.scope {
            let needs = Needs(shared.clone(), scope);
            function = function.route_layer(from_fn_with_state(needs, gate::token));
        }
        router = router.route(route.path, function);
    }
    router
        .fallback(nothing)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(shared.limits.body_max))
        .layer(from_fn(problems))
        .layer(from_fn_with_state(shared.clone(), gate::origin))
        .layer(from_fn_with_state(shared.clone(), gate::limit))
        .layer(from_fn_with_state(shared.clone(), gate::account))
        .with_state(shared)
}

async fn nothing() -> Problem {
    Problem::not_found("nothing here: /api/v1/openapi.json lists what there is")
}

async fn wrong_method() -> Problem {
    Problem::method_not_allowed("/api/v1/openapi.json lists the methods of each address")
}

/// Turns the errors the framework itself makes (a path that is no UTF-8 ...) into problems.
async fn problems(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let kind = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    let plain = kind.is_none_or(|k| k.starts_with("text/plain"));
    if status.is_client_error() && plain {
        return match status {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::too_large("the body is larger than 64 KiB").into_response()
            }
            StatusCode::NOT_FOUND => nothing().await.into_response(),
            _ => Problem::bad_request("the address is not well-formed").into_response(),
        };
    }
    response
}

async fn health(State(shared): State<Shared>) -> Response {
    #[derive(Serialize)]
    struct Health {
        alive: bool,
        ended: Vec<String>,
    }
    match shared.view.alive() {
        Ok(()) => answer::json(
            StatusCode::OK,
            &Health {
                alive: true,
                ended: Vec::new(),
            },
        ),
        Err(ended) => answer::json(
            StatusCode::SERVICE_UNAVAILABLE,
            &Health {
                alive: false,
                ended,
            },
        ),
    }
}

async fn ready(State(shared): State<Shared>) -> Response {
    let readiness: Readiness = shared.view.ready();
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    answer::json(status, &readiness)
}

async fn metrics(State(shared): State<Shared>) -> Answer {
    let text = blocking(move || Ok(shared.view.metrics())).await?;
    let kind = HeaderValue::from_static(Metrics::MEDIA_TYPE);
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// One page of a list.
#[derive(Serialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// The `cursor` of the page behind this one; null on the last.
    pub(super) next: Option<String>,
}

/// A page of `limit` out of up to one more.
fn page<T>(mut items: Vec<T>, limit: usize, mark: impl Fn(&T) -> String) -> Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(mark);
    Page { items, next }
}

async fn alerts(State(shared): State<Shared>, given: Given) -> Answer {
    let mut query = query::alerts(given)?;
    let limit = query.limit;
    query.limit += 1;
    let alerts = blocking(move || Ok(shared.view.alerts(&query)?)).await?;
    answer::ok(&page(alerts, limit, |a| {
        query::alert_mark(a.time, a.alert_id)
    }))
}

async fn alert(State(shared): State<Shared>, Path(id): Path<String>, given: Given) -> Answer {
    query::none(given)?;
    let id = query::id(&id)?;
    match blocking(move || Ok(shared.view.alert(id)?)).await? {
        Some(alert) => answer::ok(&alert),
        None => Err(Problem::not_found("there is no alert of this id")),
    }
}

async fn actions(State(shared): State<Shared>, given: Given) -> Answer {
    let mut query = query::actions(given)?;
    let limit = query.limit;
    query.limit += 1;
    let records = blocking(move || Ok(shared.view.actions(&query)?)).await?;
    let actions: Vec<ActionView> = records.into_iter().map(ActionView::from).collect();
    answer::ok(&page(actions, limit, |a| query::action_mark(a.action.seq)))
}

async fn action(State(shared): State<Shared>, Path(id): Path<String>, given: Given) -> Answer {
    query::none(given)?;
    let id = query::id(&id)?;
    match blocking(move || Ok(shared.view.action(id)?)).await? {
        Some(action) => answer::ok(&action),
        None => Err(Problem::not_found("there is no action of this id")),
    }
}

async fn detectors(State(shared): State<Shared>, given: Given) -> Answer {
    query::none(given)?;
    let items = blocking(move || Ok(shared.view.detectors()?)).await?;
    answer::ok(&Page { items, next: None })
}

async fn timeline(State(shared): State<Shared>, given: Given) -> Answer {
    query::none(given)?;
    let items = blocking(move || Ok(shared.view.timeline()?)).await?;
    answer::ok(&Page { items, next: None })
}

macro_rules! verdicts {
    ($($name:ident $verdict:ident;)*) => {
        $(async fn $name(
            state: State<Shared>,
            path: Path<String>,
            caller: Extension<Caller>,
            headers: HeaderMap,
            body: Result<Bytes, axum::extract::rejection::BytesRejection>,
        ) -> Answer {
            decide(state.0, &path.0, caller.0, &headers, body, Verdict::$verdict).await
        })*
    };
}

verdicts! {
    approve Approve;
    deny Deny;
    revert Revert;
}

/// The body of a decision; all of it may be left out.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Words {
    reason: String,
}

async fn decide(
    shared: Shared,
    id: &str,
    Caller(by): Caller,
    headers: &HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
    answer: Verdict,
) -> Answer {
    let action_id = query::id(id)?;
    let body = body?;
    let Words { reason } = if body.is_empty() {
        Words::default()
    } else {
        read(headers, &body)?
    };
    if reason.chars().count() > 1000 {
        return Err(Problem::bad_request(
            "`reason` is longer than 1000 characters",
        ));
    }
    let decision = Decision {
        action_id,
        answer,
        by,
        reason,
    };
    tracing::info!(action = %decision.action_id, answer = ?decision.answer, by = %decision.by, "a human decided");
    let record = blocking(move || Ok(shared.view.decide(&decision)?)).await?;
    answer::ok(&ActionView::from(record))
}

async fn receive(
    State(shared): State<Shared>,
    Extension(Caller(by)): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Answer {
    let body = body?;
    let receipt: Receipt = read(&headers, &body)?;
    if receipt.enforcer.len() > 200 || receipt.detail.as_ref().is_some_and(|d| d.len() > 2000) {
        return Err(Problem::bad_request("`enforcer` or `detail` is too long"));
    }
    blocking(move || Ok(shared.view.receive(&receipt, &by)?)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A JSON body; the fault tells line and column, never the body.
pub(super) fn read<T: serde::de::DeserializeOwned>(
    headers: &HeaderMap,
    body: &[u8],
) -> Result<T, Problem> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    let kind = kind
        .and_then(|k| k.split(';').next())
        .map(str::trim)
        .unwrap_or_default();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Problem::not_json("send Content-Type: application/json"));
    }
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Problem::bad_request(format!(
            "the body is not what this address takes, at line {line} column {column}: see /api/v1/openapi.json"
        ))
    })
}
