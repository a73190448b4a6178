//! The console: one page, embedded, that polls the JSON API.
//!
//! Owns how it is sent, and the policy that lets a browser run its one script and nothing else.
//! The page itself holds no data, so it needs no token; what it fetches does.

use std::sync::OnceLock;

use axum::http::{HeaderName, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

const PAGE: &str = include_str!("../../web/index.html");

/// `GET /`
pub(super) async fn page() -> Response {
    let headers: [(HeaderName, &str); 2] = [
        (header::CONTENT_SECURITY_POLICY, policy()),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Html(PAGE)).into_response()
}

/// Only this page's own script and style, and only requests to this server.
fn policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        let script = digest(inside("<script>", "</script>"));
        let style = digest(inside("<style>", "</style>"));
        format!(
            "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; \
             connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        )
    })
}

fn inside(from: &str, to: &str) -> &'static str {
    let behind = PAGE.split_once(from).map_or("", |(_, rest)| rest);
    behind.split_once(to).map_or("", |(text, _)| text)
}

fn digest(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_script_and_one_style_and_no_inline_code() {
        assert_eq!(PAGE.matches("<script").count(), 1);
        assert_eq!(PAGE.matches("<style").count(), 1);
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            " onclick=",
            " style=\"",
            "http://",
            "https://",
        ] {
            assert!(!PAGE.contains(forbidden), "{forbidden}");
        }
        assert!(!inside("<script>", "</script>").is_empty());
        assert!(policy().contains("script-src 'sha256-") && !policy().contains("unsafe"));
    }
}
