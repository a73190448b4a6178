//! The OpenAPI document, made from the table of routes.
//!
//! Owns parameters, bodies and answers of each route; addresses, methods and scopes come from the
//! table. Invariant: every route is in it, and every parameter that `query` reads.

use std::sync::OnceLock;

use axum::response::Response;
use serde_json::{Map, Value, json};

use super::answer::{self, Answer};
use super::route::{ROUTES, Route};
use crate::engine::alert::silence::{COMMENT_MAX, MATCHERS_MAX, VALUE_MAX};

/// `GET /api/v1/openapi.json`
pub(super) async fn document() -> Answer {
    Ok::<Response, _>(answer::json(axum::http::StatusCode::OK, openapi()))
}

/// The document.
#[must_use]
pub fn openapi() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut paths: Map<String, Value> = Map::new();
        for route in ROUTES {
            let path = paths.entry(route.path).or_insert_with(|| json!({}));
            if let Some(path) = path.as_object_mut() {
                path.insert(route.method.to_owned(), operation(route));
            }
        }
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "tidegate",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "Alerts, actions and detectors of one tidegate. Times are RFC 3339 UTC \
                    with milliseconds, ids lower-case hex. Errors are problem documents (RFC 9457). \
                    Without tokens (loopback only) nothing needs authorization.",
                "license": { "name": "Apache-2.0" },
            },
            "paths": paths,
            "components": {
                "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
                "schemas": schemas(),
            },
        })
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "summary": route.summary,
        "operationId": name(route),
        "parameters": parameters(route.path),
        "responses": responses(route),
    });
    if let (Some(scope), Some(operation)) = (route.scope, operation.as_object_mut()) {
        operation.insert("security".to_owned(), json!([{ "token": [scope.word()] }]));
        operation.insert("x-scope".to_owned(), json!(scope.word()));
    }
    if route.method == "post"
        && let Some(operation) = operation.as_object_mut()
    {
        let (schema, required) = match route.path {
            "/api/v1/receipts" => ("Receipt", true),
            "/api/v1/allow" => ("WantedEntry", true),
            path if path.starts_with("/api/v1/silences") => ("WantedSilence", true),
            _ => ("Reason", false),
        };
        let content = json!({ "application/json": { "schema": reference(schema) } });
        let body = json!({ "required": required, "content": content });
        operation.insert("requestBody".to_owned(), body);
    }
    operation
}

/// `get /api/v1/actions/{id}` is `getActionsId`.
fn name(route: &Route) -> String {
    let mut name = route.method.to_owned();
    let words = route
        .path
        .trim_start_matches("/api/v1")
        .split(|c: char| !c.is_alphanumeric());
    for word in words.filter(|w| !w.is_empty()) {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        name.push_str(&first.to_ascii_uppercase());
        name.push_str(rest);
    }
    if route.path == "/" {
        "getConsole".to_owned()
    } else {
        name
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn parameters(path: &str) -> Vec<Value> {
    let query = |name: &str, schema: Value, meaning: &str| json!({ "name": name, "in": "query", "schema": schema, "description": meaning });
    let id = json!({ "name": "id", "in": "path", "required": true,
        "schema": { "type": "string", "pattern": "^[0-9a-f]{64}$" } });
    let limit = query(
        "limit",
        json!({ "type": "integer", "minimum": 1, "maximum": 500, "default": 50 }),
        "at most this many",
    );
    let cursor = query(
        "cursor",
        json!({ "type": "string" }),
        "the `next` of the page before",
    );
    let text = || json!({ "type": "string", "maxLength": 512 });
    let time = || json!({ "type": "string", "format": "date-time" });
    match path {
        "/api/v1/alerts" => vec![
            limit,
            cursor,
            query("detector", text(), "a detector's id or name"),
            query(
                "status",
                json!({ "enum": ["open", "closed"] }),
                "only these",
            ),
            query(
                "level_min",
                json!({ "enum": ["informational", "low", "medium", "high", "critical"] }),
                "at or above",
            ),
            query("since", time(), "not before this event time"),
            query("until", time(), "before this event time"),
            query("key", text(), "some value of the key is this"),
        ],
        "/api/v1/actions" => vec![
            limit,
            cursor,
            query(
                "phase",
                json!({ "enum": ["pending_approval", "active", "superseded", "reverted", "expired", "denied"] }),
                "only these",
            ),
        ],
        "/api/v1/actions/stream" => vec![query(
            "since",
            json!({ "type": "integer", "minimum": 0 }),
            "changes after this `seq`; without it the full active set comes first",
        )],
        _ if path.contains("{id}") => vec![id],
        _ => Vec::new(),
    }
}

fn responses(route: &Route) -> Value {
    let problem = json!({ "description": "a problem document",
        "content": { "application/problem+json": { "schema": reference("Problem") } } });
    let good = |kind: &str, schema: Value| json!({ "description": "done", "content": { kind: { "schema": schema } } });
    let list = |item: &str| {
        json!({ "type": "object", "required": ["items", "next"], "properties": {
            "items": { "type": "array", "items": reference(item) },
            "next": { "type": ["string", "null"] } } })
    };
    let (status, answer) = match route.path {
        "/" => ("200", good("text/html", json!({ "type": "string" }))),
        "/metrics" => (
            "200",
            good("application/openmetrics-text", json!({ "type": "string" })),
        ),
        "/api/v1/alerts" => ("200", good("application/json", list("Alert"))),
        "/api/v1/alerts/{id}" => ("200", good("application/json", reference("Alert"))),
        "/api/v1/actions" => ("200", good("application/json", list("Action"))),
        "/api/v1/actions/stream" => (
            "200",
            good("text/event-stream", json!({ "type": "string" })),
        ),
        "/api/v1/silences" if route.method == "get" => {
            ("200", good("application/json", list("Silence")))
        }
        "/api/v1/silences" => ("201", good("application/json", reference("Silence"))),
        "/api/v1/silences/preview" => ("200", good("application/json", reference("Preview"))),
        "/api/v1/silences/{id}" => ("200", good("application/json", reference("Silence"))),
        "/api/v1/allow" if route.method == "get" => {
            ("200", good("application/json", list("Entry")))
        }
        "/api/v1/allow" => ("201", good("application/json", reference("Entry"))),
        "/api/v1/allow/{id}" => ("200", good("application/json", reference("Entry"))),
        "/api/v1/detectors" => ("200", good("application/json", list("Detector"))),
        "/api/v1/timeline" => ("200", good("application/json", list("Point"))),
        "/api/v1/receipts" => ("204", json!({ "description": "kept" })),
        path if path.starts_with("/api/v1/actions/") => {
            ("200", good("application/json", reference("Action")))
        }
        _ => ("200", good("application/json", json!({ "type": "object" }))),
    };
    json!({ status: answer, "default": problem })
}

fn schemas() -> Value {
    let id = json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" });
    let time = json!({ "type": "string", "format": "date-time" });
    let text = json!({ "type": "string" });
    let number = json!({ "type": "integer" });
    let author = json!({ "type": "string", "maxLength": VALUE_MAX });
    let matcher = json!({ "type": "string", "examples": ["detector=reset-flood-ip", "source.ip=~203[.]0[.].*"] });
    json!({
        "Problem": { "type": "object", "required": ["type", "title", "status", "detail"], "properties": {
            "type": text, "title": text, "status": number, "detail": text } },
        "Reason": { "type": "object", "additionalProperties": false, "properties": {
            "reason": { "type": "string", "maxLength": 1000 } } },
        "Receipt": { "type": "object", "additionalProperties": false,
            "required": ["action_id", "enforcer", "outcome", "at"], "properties": {
            "action_id": id, "enforcer": { "type": "string", "maxLength": 200 },
            "outcome": { "enum": ["applied", "refused", "undone", "failed"] },
            "at": time, "detail": { "type": ["string", "null"], "maxLength": 2000 } } },
        "Alert": { "type": "object", "required": ["alert_id", "revision", "status", "detector", "time", "key", "summary"],
            "properties": { "alert_id": id, "revision": number, "status": { "enum": ["open", "closed"] },
            "detector": { "type": "object" }, "time": time, "key": { "type": "object" },
            "observed": { "type": "object" }, "bound": { "type": "object" }, "window": { "type": "object" },
            "first": time, "last": time, "events": number, "summary": text,
            "mode": { "enum": ["shadow", "alert", "contain"] }, "silenced": id } },
        "WantedSilence": { "type": "object", "additionalProperties": false,
            "required": ["matchers", "author", "comment"], "properties": {
            "matchers": { "type": "array", "minItems": 1, "maxItems": MATCHERS_MAX, "items": matcher },
            "author": author, "comment": { "type": "string", "maxLength": COMMENT_MAX },
            "lasts": { "type": "string", "default": "1h", "examples": ["30m", "7d"] } } },
        "Silence": { "type": "object", "properties": { "silence_id": id,
            "matchers": { "type": "array", "items": matcher }, "author": text, "via": text, "comment": text,
            "created_at": time, "expires_at": time, "muted": number, "active": { "type": "boolean" } } },
        "Preview": { "type": "object", "properties": { "looked_at": number, "muted": number, "open": number,
            "newest": { "type": "array", "items": reference("Alert") } } },
        "WantedEntry": { "type": "object", "additionalProperties": false,
            "required": ["target", "author", "reason"], "properties": {
            "target": { "type": "object", "required": ["scope", "value"] }, "author": author,
            "reason": { "type": "string" }, "lasts": { "type": "string", "default": "1d", "examples": ["8h"] } } },
        "Entry": { "type": "object", "properties": { "allow_id": id, "scope": text, "value": text,
            "expires_at": time, "added_by": text, "reason": text, "added_at": time, "withheld": number,
            "active": { "type": "boolean" } } },
        "Action": { "type": "object", "required": ["action_id", "target", "verb", "seq", "expires_at", "phase"],
            "properties": { "action_id": id, "target": { "type": "object", "required": ["scope", "value"] },
            "verb": text, "seq": number, "issued_at": time, "expires_at": time, "simulated": { "type": "boolean" },
            "phase": { "enum": ["pending_approval", "active", "superseded", "reverted", "expired", "denied"] },
            "detectors": { "type": "array", "items": text }, "changed_at": time, "note": { "type": ["string", "null"] } } },
        "Detector": { "type": "object", "required": ["id", "name", "title", "level", "mode"], "properties": {
            "id": text, "name": text, "title": text, "level": text, "mode": text, "keys": number,
            "bytes": number, "alerts": number } },
        "Point": { "type": "object", "required": ["time", "events", "alerts", "actions"], "properties": {
            "time": time, "events": number, "alerts": number, "actions": number } },
    })
}
