//! Keycloak user events, as the events API and webhook event listeners give them.
//!
//! Owns the event types and their details. Invariant: `time` is epoch milliseconds and every event
//! has realm, client, address and details; failures carry `error` and the `_ERROR` type.
//!
//! Asking for a reset is SEND_RESET_PASSWORD (for an unknown account RESET_PASSWORD_ERROR), using
//! its link is RESET_PASSWORD, told when the new password is set; Keycloak says nothing when a link is
//! merely opened (by a scanner of mails) or expires.

use super::Fact;
use crate::simulate::fact::Kind;
use crate::simulate::flow::Subject;
use crate::simulate::random::mix;
use crate::simulate::text::{push_ip, push_number, push_uuid};

/// Keycloak's event type for a kind.
pub(super) fn word(kind: Kind) -> Option<&'static str> {
    WORDS
        .iter()
        .find(|(known, _)| *known == kind)
        .map(|(_, word)| *word)
}

const WORDS: [(Kind, &str); 6] = [
    (Kind::RecoveryRequested, "SEND_RESET_PASSWORD"),
    (Kind::TokenUsed, "RESET_PASSWORD"),
    (Kind::PasswordChanged, "UPDATE_PASSWORD"),
    (Kind::LoginSuccess, "LOGIN"),
    (Kind::LoginFailure, "LOGIN_ERROR"),
    (Kind::SessionRevoked, "LOGOUT"),
];

pub(super) fn write(fact: &Fact<'_>, out: &mut String) {
    let kind = fact.step.kind;
    let unknown = kind == Kind::RecoveryRequested && !fact.flow.known;
    out.push_str("{\"id\":\"");
    push_uuid(out, fact.event_id(), mix(fact.event_id()));
    out.push_str("\",\"time\":");
    push_number(out, u64::try_from(fact.time_ms).unwrap_or(0));
    out.push_str(",\"type\":\"");
    out.push_str(if unknown {
        "RESET_PASSWORD_ERROR"
    } else {
        word(kind).unwrap_or_default()
    });
    out.push_str(
        "\",\"realmId\":\"5f0e6c2a-7d3b-4c59-a1d4-0c9b1e2f3a45\",\"realmName\":\"example\",\
         \"clientId\":\"account-console\",\"userId\":",
    );
    if unknown {
        out.push_str("null");
    } else {
        out.push('"');
        push_user(fact, out);
        out.push('"');
    }
    push_session(fact, out);
    out.push_str("\"ipAddress\":\"");
    push_ip(out, fact.origin().ip);
    out.push('"');
    if let Some(error) = error(fact) {
        out.push_str(",\"error\":\"");
        out.push_str(error);
        out.push('"');
    }
    push_details(fact, out);
}

fn error(fact: &Fact<'_>) -> Option<&'static str> {
    let kind = fact.step.kind;
    if kind == Kind::RecoveryRequested && !fact.flow.known {
        return Some("user_not_found");
    }
    (kind == Kind::LoginFailure).then_some("invalid_user_credentials")
}

fn push_user(fact: &Fact<'_>, out: &mut String) {
    if let Subject::Decoy(_) = fact.flow.subject {
        // Decoys keep their name, so that one honeytoken list serves every schema.
        fact.push_account(out);
        return;
    }
    push_uuid(out, fact.account_key(), mix(fact.account_key()));
}

fn push_session(fact: &Fact<'_>, out: &mut String) {
    let kind = fact.step.kind;
    if !matches!(kind, Kind::LoginSuccess | Kind::SessionRevoked) {
        out.push_str(",\"sessionId\":null,");
        return;
    }
    let session = fact.flow.session_id(kind == Kind::SessionRevoked);
    out.push_str(",\"sessionId\":\"");
    push_uuid(out, session, mix(session));
    out.push_str("\",");
}

fn push_details(fact: &Fact<'_>, out: &mut String) {
    let kind = fact.step.kind;
    out.push_str(",\"details\":{\"auth_method\":\"openid-connect\",\"auth_type\":\"code\"");
    out.push_str(",\"redirect_uri\":\"https://id.example.com/account/\",\"code_id\":\"");
    push_uuid(out, fact.flow.request_id(), mix(fact.flow.request_id()));
    out.push_str("\",\"username\":\"");
    fact.push_email(out);
    out.push('"');
    if kind == Kind::RecoveryRequested && fact.flow.known {
        out.push_str(",\"email\":\"");
        fact.push_email(out);
        out.push('"');
    }
    if kind == Kind::TokenUsed {
        out.push_str(",\"action\":\"reset-credentials\",\"token_id\":\"");
        if fact.flow.decoy_token > 0 {
            fact.push_token(out);
        } else {
            push_uuid(out, fact.flow.token_id(), mix(fact.flow.token_id()));
        }
        out.push('"');
    }
    if kind == Kind::PasswordChanged {
        out.push_str(",\"custom_required_action\":\"UPDATE_PASSWORD\"");
    }
    out.push_str("}}");
}
