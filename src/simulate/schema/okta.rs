//! Okta System Log entries, as `/api/v1/logs` and log streams give them.
//!
//! Owns the event types and their shape; times, people and places come from the fact. Invariant:
//! every top-level member of a LogEvent is present, null where Okta leaves it null.
//!
//! Okta has no event for tokens, deliveries or clicks: those kinds are left out.

use super::Fact;
use crate::simulate::fact::Kind;
use crate::simulate::flow::Subject;
use crate::simulate::random::mix;
use crate::simulate::text::{push_ip, push_string, push_time, push_uuid};
use crate::simulate::world::{COUNTRIES, Ip};

/// How Okta tells a kind.
#[derive(Clone, Copy)]
pub(super) struct Word {
    event: &'static str,
    legacy: &'static str,
    message: &'static str,
    /// Whether the account is also a target, and not only the actor.
    target: bool,
    /// Whether Okta itself acts.
    system: bool,
    uri: &'static str,
}

/// Okta's event type for a kind.
pub(super) fn word(kind: Kind) -> Option<Word> {
    WORDS
        .iter()
        .find(|(known, _)| *known == kind)
        .map(|(_, word)| *word)
}

const WORDS: [(Kind, Word); 6] = [
    (
        Kind::RecoveryRequested,
        Word {
            event: "user.account.reset_password",
            legacy: "core.user.config.user_status.password_reset",
            message: "User reset password for Okta",
            target: true,
            system: false,
            uri: "/api/v1/authn/recovery/password",
        },
    ),
    (
        Kind::MessageSent,
        Word {
            event: "system.email.password_reset.sent_message",
            legacy: "core.user.email.message_sent.password_reset",
            message: "Send password reset email",
            target: true,
            system: true,
            uri: "/api/v1/authn/recovery/password",
        },
    ),
    (
        Kind::PasswordChanged,
        Word {
            event: "user.account.update_password",
            legacy: "core.user.config.password_update.success",
            message: "User update password for Okta",
            target: true,
            system: false,
            uri: "/api/v1/authn/credentials/reset_password",
        },
    ),
    (
        Kind::LoginSuccess,
        Word {
            event: "user.session.start",
            legacy: "core.user_auth.login_success",
            message: "User login to Okta",
            target: false,
            system: false,
            uri: "/api/v1/authn",
        },
    ),
    (
        Kind::LoginFailure,
        Word {
            event: "user.session.start",
            legacy: "core.user_auth.login_failed",
            message: "User login to Okta",
            target: false,
            system: false,
            uri: "/api/v1/authn",
        },
    ),
    (
        Kind::SessionRevoked,
        Word {
            event: "user.session.clear",
            legacy: "core.user_auth.session_clear",
            message: "Clear user session",
            target: true,
            system: false,
            uri: "/api/v1/authn/credentials/reset_password",
        },
    ),
];

pub(super) fn write(fact: &Fact<'_>, out: &mut String) {
    let Some(word) = word(fact.step.kind) else {
        return;
    };
    out.push_str("{\"actor\":");
    if word.system {
        out.push_str(
            "{\"id\":\"00u0000000000000sys\",\"type\":\"SystemPrincipal\",\
             \"alternateId\":\"system@okta.com\",\"displayName\":\"Okta System\",\
             \"detailEntry\":null}",
        );
    } else {
        push_user(fact, out);
    }
    push_client(fact, word, out);
    push_context(fact, word, out);
    out.push_str("\",\"eventType\":\"");
    out.push_str(word.event);
    push_outcome(fact, out);
    out.push_str(",\"published\":\"");
    push_time(out, fact.time_ms);
    push_security(fact, word, out);
    out.push_str(",\"severity\":\"");
    out.push_str(if failure(fact).is_some() {
        "WARN"
    } else {
        "INFO"
    });
    out.push_str("\",\"legacyEventType\":\"");
    out.push_str(word.legacy);
    out.push_str("\",\"transaction\":{\"type\":\"WEB\",\"id\":\"");
    push_base62(out, fact.flow.request_id(), 24);
    out.push_str("\",\"detail\":{}},\"uuid\":\"");
    push_uuid(out, fact.event_id(), mix(fact.event_id()));
    out.push_str("\",\"version\":\"0\",\"request\":");
    push_request(fact, word, out);
    out.push_str(",\"target\":");
    if word.target && fact.flow.known {
        out.push('[');
        push_user(fact, out);
        out.push(']');
    } else {
        out.push_str("null");
    }
    out.push('}');
}

fn failure(fact: &Fact<'_>) -> Option<&'static str> {
    let kind = fact.step.kind;
    if kind == Kind::RecoveryRequested && !fact.flow.known {
        return Some("User does not exist");
    }
    (kind == Kind::LoginFailure).then_some("INVALID_CREDENTIALS")
}

fn push_outcome(fact: &Fact<'_>, out: &mut String) {
    match failure(fact) {
        None => out.push_str("\",\"outcome\":{\"result\":\"SUCCESS\",\"reason\":null}"),
        Some(reason) => {
            out.push_str("\",\"outcome\":{\"result\":\"FAILURE\",\"reason\":");
            push_string(out, reason);
            out.push('}');
        }
    }
}

fn push_user(fact: &Fact<'_>, out: &mut String) {
    out.push_str("{\"id\":\"");
    if !fact.flow.known {
        out.push_str("unknown");
    } else if let Subject::Decoy(_) = fact.flow.subject {
        // Decoys keep their name, so that one honeytoken list serves every schema.
        fact.push_account(out);
    } else {
        out.push_str("00u");
        push_base62(out, fact.account_key(), 17);
    }
    out.push_str("\",\"type\":\"User\",\"alternateId\":\"");
    fact.push_email(out);
    out.push_str("\",\"displayName\":\"");
    if fact.flow.known {
        out.push_str("Example ");
        fact.push_account(out);
    } else {
        out.push_str("unknown");
    }
    out.push_str("\",\"detailEntry\":null}");
}

fn push_client(fact: &Fact<'_>, word: Word, out: &mut String) {
    if word.system {
        out.push_str(
            ",\"client\":{\"userAgent\":null,\"zone\":null,\"device\":null,\"id\":null,\
             \"ipAddress\":null,\"geographicalContext\":null}",
        );
        return;
    }
    let origin = fact.origin();
    let agent = origin.user_agent();
    let (browser, os, device) = browser(agent);
    out.push_str(",\"client\":{\"userAgent\":{\"rawUserAgent\":");
    push_string(out, agent);
    for (name, value) in [("os", os), ("browser", browser)] {
        out.push_str(",\"");
        out.push_str(name);
        out.push_str("\":");
        push_string(out, value);
    }
    out.push_str("},\"zone\":\"null\",\"device\":\"");
    out.push_str(device);
    out.push_str("\",\"id\":null,\"ipAddress\":\"");
    push_ip(out, origin.ip);
    out.push_str("\",\"geographicalContext\":");
    push_place(fact, out);
    out.push('}');
}

fn browser(agent: &str) -> (&'static str, &'static str, &'static str) {
    let os = [
        ("iPhone", "iOS (iPhone)", "Mobile"),
        ("Android", "Android", "Mobile"),
        ("Windows", "Windows 10", "Computer"),
        ("Mac OS X", "Mac OS X", "Computer"),
        ("Linux", "Linux", "Computer"),
    ];
    let (_, os, device) = os
        .into_iter()
        .find(|(mark, ..)| agent.contains(mark))
        .unwrap_or(("", "Unknown", "Unknown"));
    let browsers = [
        ("Edg/", "CHROMIUM_EDGE"),
        ("Firefox/", "FIREFOX"),
        ("Chrome/", "CHROME"),
    ];
    let found = browsers.into_iter().find(|(mark, _)| agent.contains(mark));
    let safari = if agent.contains("Safari/") {
        "SAFARI"
    } else {
        "UNKNOWN"
    };
    (found.map_or(safari, |(_, name)| name), os, device)
}

fn push_place(fact: &Fact<'_>, out: &mut String) {
    let country = fact.origin().country();
    out.push_str("{\"city\":null,\"state\":null,\"country\":");
    push_string(out, country.name);
    out.push_str(",\"postalCode\":null,\"geolocation\":{\"lat\":");
    let place = COUNTRIES
        .iter()
        .position(|c| c.code == country.code)
        .unwrap_or(0);
    out.push_str(PLACES[place % PLACES.len()]);
    out.push_str("}}");
}

/// Rough middles of the countries, in the table's order.
const PLACES: [&str; 24] = [
    "39.8,\"lon\":-98.6",
    "56.1,\"lon\":-106.3",
    "23.6,\"lon\":-102.5",
    "-14.2,\"lon\":-51.9",
    "-38.4,\"lon\":-63.6",
    "55.4,\"lon\":-3.4",
    "53.4,\"lon\":-8.2",
    "46.2,\"lon\":2.2",
    "51.2,\"lon\":10.5",
    "52.1,\"lon\":5.3",
    "40.5,\"lon\":-3.7",
    "41.9,\"lon\":12.6",
    "51.9,\"lon\":19.1",
    "60.1,\"lon\":18.6",
    "39.0,\"lon\":35.2",
    "-30.6,\"lon\":22.9",
    "9.1,\"lon\":8.7",
    "26.8,\"lon\":30.8",
    "20.6,\"lon\":79.0",
    "-0.8,\"lon\":113.9",
    "1.4,\"lon\":103.8",
    "36.2,\"lon\":138.3",
    "35.9,\"lon\":127.8",
    "-25.3,\"lon\":133.8",
];

fn push_context(fact: &Fact<'_>, word: Word, out: &mut String) {
    out.push_str(
        ",\"device\":null,\"authenticationContext\":{\"authenticationProvider\":null,\
         \"credentialProvider\":null,\"credentialType\":null,\"issuer\":null,\"interface\":null,\
         \"authenticationStep\":0,\"externalSessionId\":\"",
    );
    if matches!(fact.step.kind, Kind::LoginSuccess | Kind::SessionRevoked) {
        out.push_str("102");
        let old = fact.step.kind == Kind::SessionRevoked;
        push_base62(out, fact.flow.session_id(old), 22);
    } else {
        out.push_str("unknown");
    }
    out.push_str("\"},\"debugContext\":{\"debugData\":{\"requestId\":\"");
    push_base62(out, fact.flow.request_id(), 24);
    out.push_str("\",\"requestUri\":\"");
    out.push_str(word.uri);
    out.push_str("\",\"threatSuspected\":\"false\",\"url\":\"");
    out.push_str(word.uri);
    out.push_str("?\"}},\"displayMessage\":\"");
    out.push_str(word.message);
}

fn push_security(fact: &Fact<'_>, word: Word, out: &mut String) {
    if word.system {
        out.push_str(
            "\",\"securityContext\":{\"asNumber\":null,\"asOrg\":null,\"isp\":null,\
             \"domain\":null,\"isProxy\":null}",
        );
        return;
    }
    out.push_str("\",\"securityContext\":{\"asNumber\":");
    fact.push_as_number(out);
    for name in ["asOrg", "isp"] {
        out.push_str(",\"");
        out.push_str(name);
        out.push_str("\":\"");
        fact.push_as_name(out);
        out.push('"');
    }
    out.push_str(",\"domain\":\".\",\"isProxy\":false}");
}

fn push_request(fact: &Fact<'_>, word: Word, out: &mut String) {
    if word.system {
        out.push_str("{\"ipChain\":[]}");
        return;
    }
    out.push_str("{\"ipChain\":[{\"ip\":\"");
    push_ip(out, fact.origin().ip);
    out.push_str("\",\"geographicalContext\":");
    push_place(fact, out);
    out.push_str(match fact.origin().ip {
        Ip::V4(_) => ",\"version\":\"V4\",\"source\":null}]}",
        Ip::V6(_) => ",\"version\":\"V6\",\"source\":null}]}",
    });
}

/// Okta's opaque ids.
fn push_base62(out: &mut String, seed: u64, length: usize) {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut word = seed;
    for place in 0..length {
        if place % 8 == 0 {
            word = mix(word ^ seed.rotate_left(7));
        }
        out.push(char::from(DIGITS[(word % 62) as usize]));
        word /= 62;
    }
}
