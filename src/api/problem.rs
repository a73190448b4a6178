//! Errors as problem documents (RFC 9457): one type per kind of error, the same fields each time.
//!
//! Owns the kinds and their texts. Invariant: no document repeats a request's body or a secret.

use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::answer;

/// One error as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Which kind: a stable URN.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The kind in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with this request and what to do.
    pub detail: String,
    #[serde(skip)]
    header: Option<Box<(HeaderName, String)>>,
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident $status:ident $word:literal $title:literal;)*) => {
        impl Problem {
            $($(#[$doc])*
            #[must_use]
            pub fn $name(detail: impl Into<String>) -> Self {
                Self {
                    kind: concat!("urn:tidegate:problem:", $word),
                    title: $title,
                    status: StatusCode::$status.as_u16(),
                    detail: detail.into(),
                    header: None,
                }
            })*
        }
    };
}

problems! {
    /// A parameter or body that cannot be read.
    bad_request BAD_REQUEST "bad-request" "the request cannot be read";
    /// No token, or one nobody has.
    unauthorized UNAUTHORIZED "unauthorized" "a token is needed";
    /// A token that may not do this, or a page of another site.
    forbidden FORBIDDEN "forbidden" "this is not permitted";
    /// Nothing here.
    not_found NOT_FOUND "not-found" "there is no such thing";
    /// Here, but not this way.
    method_not_allowed METHOD_NOT_ALLOWED "method-not-allowed" "this address does not take that method";
    /// It took too long.
    too_slow REQUEST_TIMEOUT "too-slow" "the request took too long";
    /// Not in a state that fits.
    conflict CONFLICT "conflict" "the state does not fit";
    /// A body beyond the limit.
    too_large PAYLOAD_TOO_LARGE "too-large" "the body is too large";
    /// A body that is not JSON.
    not_json UNSUPPORTED_MEDIA_TYPE "not-json" "the body is not JSON";
    /// Too many wrong tokens.
    locked_out TOO_MANY_REQUESTS "locked-out" "too many wrong tokens from this address";
    /// A fault of this program.
    internal INTERNAL_SERVER_ERROR "internal" "this program failed";
    /// Overloaded, starting or ending.
    unavailable SERVICE_UNAVAILABLE "unavailable" "this is not available now";
}

impl Problem {
    /// The same with a header, e.g. `Retry-After`.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.header = Some(Box::new((name, value.into())));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = answer::json(status, &self);
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if let Some((name, value)) = self.header.map(|h| *h)
            && let Ok(value) = HeaderValue::try_from(value)
        {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<BytesRejection> for Problem {
    fn from(_: BytesRejection) -> Self {
        Self::too_large("the body is larger than 64 KiB or broke off")
    }
}

impl From<super::view::Unavailable> for Problem {
    fn from(error: super::view::Unavailable) -> Self {
        Self::unavailable(error.0)
    }
}

impl From<super::view::Refused> for Problem {
    fn from(error: super::view::Refused) -> Self {
        use super::view::Refused;
        match error {
            Refused::Unknown | Refused::NoSuch => Self::not_found(error.to_string()),
            Refused::Malformed(detail) => Self::bad_request(detail),
            Refused::Conflict(detail) => Self::conflict(detail),
            Refused::Unavailable(detail) => Self::unavailable(detail),
        }
    }
}
