//! Answers in JSON, in which no control or reordering character stands unescaped (T32).
//!
//! Owns serialization only. Invariant: what is sent is valid JSON, or a problem document.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Problem;
use crate::telemetry::escape::escape_json;

/// A value as a JSON answer.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let Some(text) = text(value) else {
        let fixed = "{\"type\":\"urn:tidegate:problem:internal\",\"title\":\"this program failed\",\
                     \"status\":500,\"detail\":\"the answer could not be written\"}";
        return (StatusCode::INTERNAL_SERVER_ERROR, fixed).into_response();
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// A value as one line of safe JSON.
pub(super) fn text(value: &impl Serialize) -> Option<String> {
    serde_json::to_string(value).ok().map(escape_json)
}

/// What a route gives: an answer or a problem.
pub(super) type Answer = Result<Response, Problem>;

/// A value as the answer 200.
pub(super) fn ok(value: &impl Serialize) -> Answer {
    Ok(json(StatusCode::OK, value))
}

/// Runs what may block on a thread for that.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let work = || {
        crate::crash::point("request-working");
        work()
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(%error, "a request's work ended early");
            Err(Problem::internal(
                "the request's work ended early; see the log",
            ))
        }
    }
}
