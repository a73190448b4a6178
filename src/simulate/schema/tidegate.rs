//! tidegate's own schema: flat dotted keys in ECS names, every kind.
//!
//! Owns which fields each kind carries; the values come from the fact. Invariant: `time` and
//! `event.kind` come first, and a field that is not known is left out, never written empty.

use super::Fact;
use crate::simulate::fact::Kind;
use crate::simulate::flow::{SERVICES, Subject};
use crate::simulate::text::{push_hex, push_ip, push_number, push_string, push_time};

pub(super) fn write(fact: &Fact<'_>, out: &mut String) {
    let kind = fact.step.kind;
    out.push_str("{\"time\":\"");
    push_time(out, fact.time_ms);
    out.push_str("\",\"event.kind\":\"");
    out.push_str(kind.name());
    out.push_str("\",\"event.id\":\"ev-");
    push_hex(out, fact.event_id(), 16);
    out.push('"');
    if let Subject::Deploy(service) = fact.flow.subject {
        push_deploy(fact, service, out);
        out.push('}');
        return;
    }
    push_outcome(fact, out);
    key(out, "user.target.id");
    fact.push_account(out);
    out.push('"');
    if acts_as_user(kind) {
        key(out, "user.id");
        fact.push_account(out);
        out.push('"');
    }
    if !is_mail_machine(kind) {
        push_origin(fact, out);
    }
    push_http(fact, out);
    push_ids(fact, out);
    out.push('}');
}

/// `,"name":"` ready for a value and its closing quote.
fn key(out: &mut String, name: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":\"");
}

/// Done by a person who is, or has just become, known.
fn acts_as_user(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::PasswordChanged
            | Kind::LoginSuccess
            | Kind::LoginFailure
            | Kind::SessionRevoked
            | Kind::TicketOpened
            | Kind::PhishingReported
    )
}

/// The mail machinery knows no client.
fn is_mail_machine(kind: Kind) -> bool {
    kind.is_message() && kind != Kind::MessageClicked
}

fn has_token(kind: Kind) -> bool {
    kind.is_message()
        || matches!(
            kind,
            Kind::TokenIssued | Kind::TokenUsed | Kind::TokenExpired | Kind::PasswordChanged
        )
}

fn push_outcome(fact: &Fact<'_>, out: &mut String) {
    let kind = fact.step.kind;
    let reason = if kind == Kind::RecoveryRequested && !fact.flow.known {
        "unknown_account"
    } else if kind == Kind::LoginFailure {
        "bad_credentials"
    } else if kind == Kind::MessageBounced {
        "mailbox_unknown"
    } else {
        if acted(kind).is_some() {
            out.push_str(",\"event.outcome\":\"success\"");
        }
        return;
    };
    out.push_str(",\"event.outcome\":\"failure\"");
    key(out, "event.reason");
    out.push_str(reason);
    out.push('"');
}

/// The path of what a client did by request; always a POST, but for the uses of scanners.
fn acted(kind: Kind) -> Option<&'static str> {
    const PATHS: [(Kind, &str); 5] = [
        (Kind::RecoveryRequested, "/recovery"),
        (Kind::TokenUsed, "/recovery/confirm"),
        (Kind::PasswordChanged, "/recovery/password"),
        (Kind::LoginSuccess, "/login"),
        (Kind::LoginFailure, "/login"),
    ];
    PATHS
        .iter()
        .find(|(known, _)| *known == kind)
        .map(|(_, path)| *path)
}

fn push_origin(fact: &Fact<'_>, out: &mut String) {
    let origin = fact.origin();
    key(out, "source.ip");
    push_ip(out, origin.ip);
    out.push_str("\",\"source.as.number\":");
    push_number(out, origin.as_number());
    key(out, "source.as.organization.name");
    fact.push_as_name(out);
    out.push('"');
    key(out, "source.geo.country_iso_code");
    out.push_str(origin.country().code);
    out.push('"');
    if let Some(kind) = origin.kind() {
        key(out, "source.kind");
        out.push_str(kind);
        out.push('"');
    }
    if origin.device != 0 {
        key(out, "device.id");
        out.push_str("dev-");
        push_hex(out, origin.device, 12);
        out.push('"');
    }
    out.push_str(",\"user_agent.original\":");
    push_string(out, origin.user_agent());
}

fn push_http(fact: &Fact<'_>, out: &mut String) {
    key(out, "http.request.id");
    fact.push_request(out);
    out.push('"');
    let Some(path) = acted(fact.step.kind) else {
        return;
    };
    let scanned = fact.step.kind == Kind::TokenUsed && fact.step.who == 1;
    let method = if scanned {
        fact.flow.other_method
    } else {
        "POST"
    };
    key(out, "http.request.method");
    out.push_str(method);
    out.push('"');
    key(out, "url.path");
    out.push_str(path);
    out.push('"');
}

fn push_ids(fact: &Fact<'_>, out: &mut String) {
    let kind = fact.step.kind;
    if has_token(kind) {
        key(out, "token.id");
        fact.push_token(out);
        out.push('"');
    }
    if kind == Kind::TokenIssued {
        out.push_str(",\"token.kind\":\"link\"");
    }
    if kind.is_message() {
        key(out, "message.id");
        out.push_str("msg-");
        push_hex(out, fact.flow.message_id(fact.step.copy), 16);
        out.push_str("\",\"message.channel\":\"email\",\"message.provider\":\"ses\"");
    }
    if matches!(kind, Kind::LoginSuccess | Kind::SessionRevoked) {
        key(out, "session.id");
        out.push_str("ses-");
        push_hex(out, fact.flow.session_id(kind == Kind::SessionRevoked), 12);
        out.push('"');
    }
}

fn push_deploy(fact: &Fact<'_>, service: u8, out: &mut String) {
    key(out, "deploy.id");
    out.push_str("dep-");
    push_number(out, fact.flow.serial());
    out.push('"');
    key(out, "deploy.commit");
    fact.push_commit(out);
    out.push('"');
    key(out, "deploy.service");
    out.push_str(SERVICES[usize::from(service) % SERVICES.len()]);
    out.push_str("\",\"deploy.environment\":\"production\"");
}
