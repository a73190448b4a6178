//! Okta System Log events, also as event hooks and as log streams deliver them.
//!
//! Reads `LogEvent` documents; the kinds follow Okta's own description of each type. A self-service
//! reset is a request (the mail goes out); the same type by an administrator is a reset by one.

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
    TYPE = 0: "eventType";
    PUBLISHED = 1: "published";
    UUID = 2: "uuid";
    RESULT = 3: "outcome.result";
    REASON = 4: "outcome.reason";
    ACTOR_ID = 5: "actor.id";
    ACTOR_TYPE = 6: "actor.type";
    ACTOR_LOGIN = 7: "actor.alternateId";
    CLIENT_IP = 8: "client.ipAddress";
    AGENT = 9: "client.userAgent.rawUserAgent";
    COUNTRY = 10: "client.geographicalContext.country";
    AS_NUMBER = 11: "securityContext.asNumber";
    AS_NAME = 12: "securityContext.asOrg";
    PROXY = 13: "securityContext.isProxy";
    SESSION = 14: "authenticationContext.externalSessionId";
    ROOT_SESSION = 15: "authenticationContext.rootSessionId";
    TRANSACTION = 16: "transaction.id";
    TARGET_ID = 17: "target.id";
    TARGET_TYPE = 18: "target.type";
    TARGET_LOGIN = 19: "target.alternateId";
    FINGERPRINT = 20: "debugContext.debugData.deviceFingerprint";
    DEVICE = 21: "device.id";
    REQUEST = 22: "debugContext.debugData.requestId";
    REQUEST_URI = 23: "debugContext.debugData.requestUri";
    CHAIN_IP = 24: "request.ipChain.ip";
    MESSAGE = 25: "debugContext.debugData.messageId";
    PROVIDER = 26: "debugContext.debugData.smsProvider", "debugContext.debugData.provider";
    DELIVERY = 27: "debugContext.debugData.status", "debugContext.debugData.deliveryStatus",
        "debugContext.debugData.emailEventType";
    TRACE = 28: "debugContext.debugData.traceId";
    EVENTS = 29: "data.events";
    DETAIL = 30: "detail";
    DEVICE_INTEGRATOR = 31: "debugContext.debugData.deviceId";
}

/// Where the events of an envelope begin: an event hook's list, a log stream's `detail`.
pub(crate) fn enveloped(doc: &Doc<'_>) -> Option<Raw<'static>> {
    // The list's elements are captured after the list itself.
    let events = doc.all(EVENTS).next().map(|(_, raw)| raw);
    match (events, doc.raw(DETAIL), doc.raw(TYPE)) {
        (Some(Raw::Array(at)), ..) => Some(Raw::Array(at)),
        (_, Some(Raw::Object(at)), None) => Some(Raw::Object(at)),
        _ => None,
    }
}

/// The people of an event.
struct People<'a> {
    actor: Option<&'a str>,
    actor_is_user: bool,
    target: Option<&'a str>,
    target_login: Option<&'a str>,
}

impl<'a> People<'a> {
    fn of(doc: &Doc<'a>) -> Self {
        let user = doc
            .texts(TARGET_TYPE)
            .find(|(_, kind)| kind.eq_ignore_ascii_case("User"))
            .map(|(object, _)| object);
        let target = user.and_then(|object| doc.text_in(object, TARGET_ID));
        let actor_is_user = doc
            .text(ACTOR_TYPE)
            .is_none_or(|t| t.eq_ignore_ascii_case("User"));
        Self {
            actor: doc.text(ACTOR_ID),
            actor_is_user,
            target,
            target_login: user.and_then(|object| doc.text_in(object, TARGET_LOGIN)),
        }
    }

    /// Whether a person acted on another.
    fn differ(&self) -> bool {
        self.actor_is_user
            && self.target.is_some()
            && self.actor.is_some()
            && self.actor != self.target
    }

    /// Who acted: the system acting for a person is that person.
    fn who(&self) -> Option<&'a str> {
        if self.actor_is_user {
            self.actor.or(self.target)
        } else {
            self.target.or(self.actor)
        }
    }
}

pub(crate) fn finish(doc: &Doc<'_>, canon: &mut Canon<'_>) -> Result<(), Flaw> {
    let name = match doc.raw(TYPE) {
        Some(Raw::Text(name)) if !normal::is_missing(name) => name.trim(),
        None | Some(Raw::Null | Raw::Text(_)) => {
            return Err(Flaw::new(Reason::MissingKind, "eventType", "is missing"));
        }
        Some(_) => return Err(Flaw::new(Reason::WrongType, "eventType", "is not a text")),
    };
    let time = canon::first_time([(doc.raw(PUBLISHED), "published")], "published")?;
    let people = People::of(doc);
    let mut lower = std::mem::take(&mut canon.buffer.lower);
    lower.clear();
    lower.extend(name.chars().flat_map(char::to_lowercase));
    match kind(&lower, doc, &people) {
        Some(kind) => canon.kind(kind),
        None => canon.custom("okta", &lower),
    }
    let result = message(&lower, doc, canon);
    canon.buffer.lower = lower;
    result?;
    canon.time(time);
    who(doc, canon, &people);
    origin(doc, canon)?;
    canon.maybe(field::EVENT_ID, doc.text(UUID));
    canon.outcome(doc.text(RESULT).and_then(normal::outcome));
    canon.maybe(field::EVENT_REASON, doc.text(REASON));
    canon.maybe(
        field::SESSION_ID,
        doc.text(SESSION).or(doc.text(ROOT_SESSION)),
    );
    let (transaction, request) = (doc.text(TRANSACTION), doc.text(REQUEST));
    canon.maybe(field::TRACE_ID, doc.text(TRACE).or(transaction).or(request));
    canon.maybe(field::REQUEST_ID, request.or(transaction));
    canon.maybe(field::URL_PATH, doc.text(REQUEST_URI));
    Ok(())
}

fn who(doc: &Doc<'_>, canon: &mut Canon<'_>, people: &People<'_>) {
    let who = people.who();
    canon.maybe(field::USER_ID, who);
    canon.maybe(field::USER_TARGET_ID, people.target.or(who));
    let actor_login = doc
        .text(ACTOR_LOGIN)
        .filter(|_| people.actor_is_user || people.target.is_none());
    if !canon.email_if_address(actor_login) && !people.differ() {
        canon.email_if_address(people.target_login);
    }
    canon.word(
        field::ACTOR_KIND,
        match (people.actor_is_user, people.differ()) {
            (true, true) => "admin",
            (true, false) => "user",
            (false, _) => "system",
        },
    );
}

fn origin(doc: &Doc<'_>, canon: &mut Canon<'_>) -> Result<(), Flaw> {
    if let Some(ip) = doc
        .text(CLIENT_IP)
        .or_else(|| doc.texts(CHAIN_IP).next().map(|(_, ip)| ip))
    {
        canon.ip(ip)?;
    }
    canon.as_number(doc.raw(AS_NUMBER));
    canon.maybe(field::SOURCE_AS_NAME, doc.text(AS_NAME));
    if let Some(country) = doc.text(COUNTRY) {
        canon.country(country);
    }
    let proxy = doc.raw(PROXY) == Some(Raw::Bool(true))
        || doc
            .text(PROXY)
            .is_some_and(|t| t.eq_ignore_ascii_case("true"));
    if proxy {
        canon.word(field::SOURCE_KIND, "proxy");
    }
    canon.maybe(field::USER_AGENT, doc.text(AGENT));
    let device = doc
        .text(DEVICE)
        .or(doc.text(DEVICE_INTEGRATOR))
        .or(doc.text(FINGERPRINT));
    canon.maybe(field::DEVICE_ID, device);
    Ok(())
}

/// The message and the token of types that send or redeem one.
fn message(lower: &str, doc: &Doc<'_>, canon: &mut Canon<'_>) -> Result<(), Flaw> {
    let channel = match lower.split('.').nth(1) {
        _ if !lower.starts_with("system.") => None,
        Some("email") if !lower.contains("template") => Some("email"),
        Some("sms") => Some("sms"),
        Some("voice") => Some("voice"),
        Some("push") => Some("push"),
        _ => None,
    };
    if let Some(channel) = channel {
        canon.word(field::MESSAGE_CHANNEL, channel);
        canon.maybe(
            field::MESSAGE_PROVIDER,
            Some(doc.text(PROVIDER).unwrap_or("okta")),
        );
        canon.maybe(field::MESSAGE_ID, doc.text(MESSAGE));
    }
    if lower.contains("password_reset")
        || lower.contains("account_unlock")
        || lower.contains("unlock_token")
    {
        canon.word(
            field::TOKEN_KIND,
            if channel == Some("email") {
                "link"
            } else {
                "otp"
            },
        );
    } else if lower.contains("factor") && channel.is_some() || lower.contains("mfa") {
        canon.word(field::TOKEN_KIND, "mfa");
    }
    Ok(())
}

/// The canonical kind of a type, given in lower case.
fn kind(name: &str, doc: &Doc<'_>, people: &People<'_>) -> Option<&'static str> {
    let result = doc.text(RESULT).unwrap_or_default();
    let failed = normal::outcome(result) == Some("failure");
    let reason = doc.text(REASON).unwrap_or_default();
    let either = |good, bad| Some(if failed { bad } else { good });
    match name {
        "user.account.reset_password" if people.differ() => Some("password.reset_by_admin"),
        "user.account.reset_password" => Some("recovery.requested"),
        "user.account.update_password" if people.differ() => Some("password.reset_by_admin"),
        "user.account.update_password" => Some("password.changed"),
        "user.account.unlock_token" => Some("token.issued"),
        "user.account.use_token" | "system.email.challenge_factor_redeemed" => {
            let expired = failed && reason.to_ascii_lowercase().contains("expired");
            if expired {
                Some("token.expired")
            } else {
                either("token.used", "token.failed")
            }
        }
        "user.account.lock"
        | "user.account.lock.limit"
        | "user.lifecycle.suspend"
        | "user.lifecycle.deactivate" => Some("account.locked"),
        "user.account.unlock"
        | "user.account.unlock_by_admin"
        | "user.lifecycle.unsuspend"
        | "user.lifecycle.reactivate" => Some("account.unlocked"),
        "user.account.update_primary_email" | "user.account.update_secondary_email" => {
            Some("email.changed")
        }
        "user.account.update_phone" | "user.account.update_primary_phone" => Some("phone.changed"),
        "user.account.report_suspicious_activity_by_enduser" => Some("phishing.reported"),
        "user.authentication.auth_via_mfa"
        | "user.authentication.verify"
        | "user.mfa.okta_verify" => match result {
            r if r.eq_ignore_ascii_case("challenge") => Some("challenge.shown"),
            _ => either("challenge.passed", "mfa.failed"),
        },
        "user.mfa.okta_verify.deny_push"
        | "user.mfa.okta_verify.deny_push_upgrade_needed"
        | "user.mfa.attempt_bypass" => Some("mfa.failed"),
        "user.mfa.factor.activate" | "user.mfa.factor.update" | "user.mfa.factor.unsuspend" => {
            Some("mfa.enrolled")
        }
        "user.mfa.factor.deactivate" | "user.mfa.factor.suspend" => Some("mfa.removed"),
        "user.mfa.factor.reset_all" => Some("mfa.reset"),
        "user.session.start" | "user.authentication.auth" => {
            either("login.success", "login.failure")
        }
        "user.authentication.sso" => either("session.started", "login.failure"),
        "user.session.end"
        | "user.session.clear"
        | "user.session.expire"
        | "user.authentication.slo" => Some("session.revoked"),
        "user.credential.enroll" | "device.user.add" | "device.enrollment.create" => {
            Some("device.registered")
        }
        "policy.evaluate_sign_on" if result.eq_ignore_ascii_case("challenge") => {
            Some("challenge.shown")
        }
        "security.request.blocked" => {
            let uri = doc.text(REQUEST_URI).unwrap_or_default();
            ["recovery", "password", "unlock"]
                .iter()
                .any(|w| uri.contains(w))
                .then_some("recovery.blocked")
        }
        _ if name.starts_with("user.authentication.auth_via_") => {
            either("login.success", "login.failure")
        }
        _ if name.starts_with("app.oauth2.")
            && failed
            && reason.to_ascii_lowercase().contains("redirect") =>
        {
            Some("oauth.redirect_mismatch")
        }
        _ => message_kind(name, failed, doc).or_else(|| config_kind(name)),
    }
}

/// The kinds of types that are about messages.
fn message_kind(name: &str, failed: bool, doc: &Doc<'_>) -> Option<&'static str> {
    let denied = doc
        .text(RESULT)
        .is_some_and(|r| r.eq_ignore_ascii_case("deny"));
    let sends = name.ends_with(".sent_message") || name.contains(".send_");
    match name.strip_prefix("system.")? {
        "email.delivery" => {
            let status = doc
                .text(DELIVERY)
                .or(doc.text(REASON))
                .unwrap_or_default()
                .to_ascii_lowercase();
            let says = |words: &[&str]| words.iter().any(|w| status.contains(w));
            Some(if says(&["bounce", "drop"]) {
                "message.bounced"
            } else if says(&["defer", "delay"]) {
                "message.deferred"
            } else if says(&["complain", "spam"]) {
                "message.complained"
            } else if failed {
                "message.bounced"
            } else {
                "message.delivered"
            })
        }
        "sms.receive_status" | "voice.receive_status" => Some(if failed {
            "message.bounced"
        } else {
            "message.delivered"
        }),
        _ if sends && denied && name.contains("password_reset") => Some("recovery.blocked"),
        rest if sends
            && ["email.", "sms.", "voice.", "push."]
                .iter()
                .any(|p| rest.starts_with(p)) =>
        {
            Some("message.sent")
        }
        _ => None,
    }
}

/// Changes of the organisation's own settings that bear on the flow.
fn config_kind(name: &str) -> Option<&'static str> {
    const PREFIXES: &[&str] = &[
        "policy.lifecycle.",
        "policy.rule.",
        "system.email.template.",
        "system.feature.",
        "system.idp.lifecycle.",
        "system.captcha.",
        "system.custom_",
        "system.email_domain.",
        "system.mfa.factor.",
        "application.lifecycle.update",
        "zone.",
    ];
    PREFIXES
        .iter()
        .any(|p| name.starts_with(p))
        .then_some("config.changed")
}
