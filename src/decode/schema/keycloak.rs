//! Keycloak user events and admin events, as listeners write them and as the REST API returns them.
//!
//! Keycloak records the sending of the reset mail and not the request before it, so
//! `SEND_RESET_PASSWORD` is the request. A listener may put details beside the other members.

use crate::model::field;

use super::super::canon::{self, Canon};
use super::super::dead::{Flaw, Reason};
use super::super::draft::{Doc, Raw};
use super::super::normal;

macro_rules! inputs {
    ($($name:ident = $number:literal: $($path:literal),+;)*) => {
        $(const $name: u8 = $number;)*
        pub(crate) const INPUTS: &[(&str, u8)] = &[$($(($path, $name)),+),*];
    };
}

inputs! {
    TYPE = 0: "type";
    TIME = 1: "time";
    STAMP = 2: "@timestamp", "timestamp";
    ID = 3: "id";
    UID = 4: "uid";
    REALM = 5: "realmId";
    REALM_NAME = 6: "realmName";
    USER = 7: "userId";
    SESSION = 8: "sessionId";
    IP = 9: "ipAddress";
    ERROR = 10: "error";
    NAME = 11: "details.username";
    EMAIL = 12: "details.email";
    CODE = 13: "details.code_id";
    TOKEN = 14: "details.token_id";
    REASON = 15: "details.reason";
    CREDENTIAL = 16: "details.credential_type";
    ACTION = 17: "details.custom_required_action";
    AGENT = 18: "details.user_agent", "details.userAgent", "userAgent";
    OPERATION = 19: "operationType";
    RESOURCE = 20: "resourceType";
    PATH = 21: "resourcePath";
    REPRESENTATION = 22: "representation";
    ADMIN_USER = 23: "authDetails.userId";
    ADMIN_IP = 24: "authDetails.ipAddress";
    ADMIN_REALM = 25: "authDetails.realmId";
    FLAT_NAME = 26: "username";
    FLAT_EMAIL = 27: "email";
    FLAT_CODE = 28: "code_id";
    FLAT_TOKEN = 29: "token_id";
    FLAT_REASON = 30: "reason";
    FLAT_CREDENTIAL = 31: "credential_type";
    REQUEST = 32: "details.request_id", "details.requestId", "requestId";
    TRACE = 33: "details.trace_id", "details.traceId", "traceId";
    DEVICE = 34: "details.device_id", "details.deviceId", "deviceId";
    DETAIL_USER = 35: "details.userId";
    DETAIL_IP = 36: "details.ipAddress";
    PHONE = 37: "details.phone_number", "details.phoneNumber", "phone_number", "phoneNumber";
}

/// Whether a document is an admin event: it names an operation.
fn is_admin(doc: &Doc<'_>) -> bool {
    doc.text(OPERATION).is_some()
}

pub(crate) fn finish(doc: &Doc<'_>, canon: &mut Canon<'_>) -> Result<(), Flaw> {
    let times = [(doc.raw(TIME), "time"), (doc.raw(STAMP), "@timestamp")];
    let time = canon::first_time(times, "time");
    if is_admin(doc) {
        admin(doc, canon)?;
    } else {
        user(doc, canon)?;
    }
    canon.time(time?);
    let id = if doc.raw(ID).is_some() {
        doc.raw(ID)
    } else {
        doc.raw(UID)
    };
    canon.id(field::EVENT_ID, id);
    canon.maybe(field::REQUEST_ID, doc.text(REQUEST));
    canon.maybe(field::TRACE_ID, doc.text(TRACE));
    canon.maybe(field::USER_AGENT, doc.text(AGENT));
    canon.maybe(field::DEVICE_ID, doc.text(DEVICE));
    Ok(())
}

fn user(doc: &Doc<'_>, canon: &mut Canon<'_>) -> Result<(), Flaw> {
    let name = match doc.raw(TYPE) {
        Some(Raw::Text(name)) if !normal::is_missing(name) => name.trim(),
        None | Some(Raw::Null | Raw::Text(_)) => {
            return Err(Flaw::new(Reason::MissingKind, "type", "is missing"));
        }
        Some(_) => return Err(Flaw::new(Reason::WrongType, "type", "is not a text")),
    };
    let mut lower = std::mem::take(&mut canon.buffer.lower);
    lower.clear();
    let bare = name.rsplit_once('.').map_or(name, |(_, bare)| bare);
    lower.extend(bare.chars().flat_map(char::to_lowercase));
    let error = doc.text(ERROR);
    let base = lower.strip_suffix("_error");
    let failed = base.is_some() || error.is_some();
    match kind(
        base.unwrap_or(&lower),
        failed,
        error.unwrap_or_default(),
        doc,
    ) {
        Some(kind) => canon.kind(kind),
        None => canon.custom("keycloak", &lower),
    }
    let sends = lower.starts_with("send_");
    let reset = lower.contains("reset_password");
    canon.buffer.lower = lower;
    canon.outcome(Some(if failed { "failure" } else { "success" }));
    canon.maybe(
        field::EVENT_REASON,
        error.or(doc.text(REASON)).or(doc.text(FLAT_REASON)),
    );
    if sends {
        canon.word(field::MESSAGE_CHANNEL, "email");
    }
    if sends || reset {
        canon.word(field::TOKEN_KIND, "link");
    }
    let name = doc.text(NAME).or(doc.text(FLAT_NAME));
    // An account that does not exist has no id; who was asked for is then the name.
    let user = doc.text(USER).or(doc.text(DETAIL_USER)).or(name);
    canon.maybe(field::USER_ID, user);
    canon.maybe(field::USER_TARGET_ID, user);
    if !canon.email_if_address(doc.text(EMAIL).or(doc.text(FLAT_EMAIL))) {
        canon.email_if_address(name);
    }
    if let Some(number) = doc.text(PHONE) {
        canon.phone(number);
    }
    canon.maybe(
        field::ORGANIZATION_ID,
        doc.text(REALM).or(doc.text(REALM_NAME)),
    );
    let code = doc.text(CODE).or(doc.text(FLAT_CODE));
    canon.maybe(field::SESSION_ID, doc.text(SESSION).or(code));
    canon.maybe(field::TOKEN_ID, doc.text(TOKEN).or(doc.text(FLAT_TOKEN)));
    canon.word(field::ACTOR_KIND, "user");
    doc.text(IP)
        .or(doc.text(DETAIL_IP))
        .map_or(Ok(()), |ip| canon.ip(ip))
}

/// The canonical kind of a user event's type, in lower case and without `_error`.
fn kind(name: &str, failed: bool, error: &str, doc: &Doc<'_>) -> Option<&'static str> {
    let either = |good, bad| Some(if failed { bad } else { good });
    let credential = || {
        doc.text(CREDENTIAL)
            .or(doc.text(FLAT_CREDENTIAL))
            .unwrap_or_default()
    };
    let expired = error.contains("expired");
    if matches!(error, "invalid_redirect_uri" | "missing_redirect_uri") {
        return Some("oauth.redirect_mismatch");
    }
    match name {
        "login" | "identity_provider_login" => either("login.success", "login.failure"),
        "logout" => Some("session.revoked"),
        "send_reset_password" => Some("recovery.requested"),
        "reset_password" => match error {
            "user_not_found"
            | "username_missing"
            | "invalid_user_credentials"
            | "user_disabled"
            | "invalid_email"
            | "user_temporarily_disabled" => Some("recovery.requested"),
            _ if expired => Some("token.expired"),
            _ => either("token.used", "token.failed"),
        },
        "execute_action_token" | "execute_actions" | "verify_email" if expired => {
            Some("token.expired")
        }
        "execute_action_token" | "execute_actions" | "verify_email" => {
            either("token.used", "token.failed")
        }
        "send_verify_email" | "send_identity_provider_link" => Some("message.sent"),
        "update_password" => Some("password.changed"),
        "update_email" => Some("email.changed"),
        "update_credential" | "reset_credential" if credential() == "password" => {
            Some("password.changed")
        }
        "update_totp" | "update_credential" => either("mfa.enrolled", "mfa.failed"),
        "remove_totp" => Some("mfa.removed"),
        "remove_credential" if credential() != "password" => Some("mfa.removed"),
        "custom_required_action" | "custom_required_action_error" => {
            let action = doc.text(ACTION).unwrap_or_default().to_ascii_lowercase();
            ["webauthn", "totp", "otp", "recovery_authn"]
                .iter()
                .any(|w| action.contains(w))
                .then_some(if failed { "mfa.failed" } else { "mfa.enrolled" })
        }
        "user_disabled_by_permanent_lockout" | "user_disabled_by_temporary_lockout" => {
            Some("account.locked")
        }
        _ => None,
    }
}

fn admin(doc: &Doc<'_>, canon: &mut Canon<'_>) -> Result<(), Flaw> {
    let operation = doc.text(OPERATION).unwrap_or_default().to_ascii_lowercase();
    let resource = doc.text(RESOURCE).unwrap_or_default().to_ascii_lowercase();
    let path = doc.text(PATH).unwrap_or_default();
    match admin_kind(
        &operation,
        &resource,
        path,
        doc.text(REPRESENTATION).unwrap_or_default(),
    ) {
        Some(kind) => canon.kind(kind),
        None if resource.is_empty() => canon.custom("keycloak", &operation),
        None => canon.custom("keycloak", &format!("{operation}_{resource}")),
    }
    let mut parts = path.split('/').skip_while(|part| *part != "users").skip(1);
    let who = doc.text(ADMIN_USER).or(doc.text(USER));
    let target = parts.next().filter(|id| !id.is_empty());
    canon.maybe(field::USER_ID, who);
    canon.maybe(field::USER_TARGET_ID, target.or(who));
    if let Some(session) = path.strip_prefix("sessions/") {
        canon.text(field::SESSION_ID, session);
    }
    if path.ends_with("-email") {
        canon.word(field::MESSAGE_CHANNEL, "email");
    }
    let error = doc.text(ERROR);
    canon.outcome(Some(if error.is_some() {
        "failure"
    } else {
        "success"
    }));
    canon.maybe(field::EVENT_REASON, error);
    canon.word(field::ACTOR_KIND, "admin");
    canon.maybe(
        field::ORGANIZATION_ID,
        doc.text(REALM)
            .or(doc.text(REALM_NAME))
            .or(doc.text(ADMIN_REALM)),
    );
    doc.text(ADMIN_IP)
        .or(doc.text(IP))
        .map_or(Ok(()), |ip| canon.ip(ip))
}

fn admin_kind(
    operation: &str,
    resource: &str,
    path: &str,
    representation: &str,
) -> Option<&'static str> {
    const CONFIG: &[&str] = &[
        "realm",
        "client",
        "client_scope",
        "auth_flow",
        "auth_execution",
        "auth_execution_flow",
        "authenticator_config",
        "required_action",
        "identity_provider",
        "identity_provider_mapper",
        "component",
        "protocol_mapper",
        "user_profile",
        "realm_role",
        "clustered_node",
        "authorization_policy",
    ];
    let mut parts = path.split('/');
    match (parts.next().unwrap_or_default(), parts.next(), parts.next()) {
        ("users", Some(_), Some("reset-password")) => Some("password.reset_by_admin"),
        ("users", Some(_), Some("logout")) => Some("session.revoked"),
        (
            "users",
            Some(_),
            Some("reset-password-email" | "execute-actions-email" | "send-verify-email"),
        ) => Some("message.sent"),
        ("users", Some(_), Some("credentials")) if operation == "delete" => Some("mfa.removed"),
        ("users", Some(_), Some("disable-credential-types")) => Some("mfa.reset"),
        ("users", Some(_), Some("consents" | "offline-sessions")) if operation != "create" => {
            Some("session.revoked")
        }
        ("users", Some(_), None) if operation == "update" && disables(representation) => {
            Some("account.locked")
        }
        ("sessions", Some(_), None) if operation == "delete" => Some("session.revoked"),
        ("attack-detection", ..) if operation == "delete" => Some("account.unlocked"),
        ("logout-all", ..) => Some("session.revoked"),
        _ if CONFIG.contains(&resource) => Some("config.changed"),
        _ => None,
    }
}

/// Whether the body of an update switches the user off.
fn disables(representation: &str) -> bool {
    representation
        .split_once("\"enabled\"")
        .is_some_and(|(_, rest)| {
            rest.trim_start()
                .strip_prefix(':')
                .is_some_and(|value| value.trim_start().starts_with("false"))
        })
}
