//! tidegate's own schema: canonical names, dotted or nested, with `event.kind` and `time`.
//!
//! ECS spellings of the same facts are read too where the canonical one is absent. A canonical
//! field of a wrong type, or an address that is none, refuses the event whoever reads the field:
//! what is accepted does not depend on the detectors loaded.

use crate::model::{FieldId, field};

use super::super::canon::{self, Canon};
use super::super::dead::{Flaw, Reason};
use super::super::draft::{Doc, Raw};
use super::super::normal;

/// Inputs below this are canonical fields by their number.
const ALIASES: u8 = 48;
const ALIAS_TIME: u8 = ALIASES;
const ALIAS_ACTION: u8 = ALIASES + 1;
const ALIAS_IP: u8 = ALIASES + 2;
const ALIAS_USER: u8 = ALIASES + 3;
const ALIAS_TARGET: u8 = ALIASES + 4;
const ALIAS_AGENT: u8 = ALIASES + 5;
const ALIAS_MESSAGE: u8 = ALIASES + 6;
const ALIAS_AS_NAME: u8 = ALIASES + 7;

pub(crate) const INPUTS: &[(&str, u8)] = &[
    ("event.kind", id(field::EVENT_KIND)),
    ("event.id", id(field::EVENT_ID)),
    ("event.outcome", id(field::EVENT_OUTCOME)),
    ("event.reason", id(field::EVENT_REASON)),
    ("event.schema", id(field::EVENT_SCHEMA)),
    ("user.id", id(field::USER_ID)),
    ("user.email", id(field::USER_EMAIL)),
    ("user.target.id", id(field::USER_TARGET_ID)),
    ("organization.id", id(field::ORGANIZATION_ID)),
    ("source.ip", id(field::SOURCE_IP)),
    ("source.cidr", id(field::SOURCE_CIDR)),
    ("source.as.number", id(field::SOURCE_AS_NUMBER)),
    ("source.as.organization.name", id(field::SOURCE_AS_NAME)),
    ("source.geo.country_iso_code", id(field::SOURCE_COUNTRY)),
    ("source.kind", id(field::SOURCE_KIND)),
    ("device.id", id(field::DEVICE_ID)),
    ("user_agent.original", id(field::USER_AGENT)),
    ("session.id", id(field::SESSION_ID)),
    ("token.id", id(field::TOKEN_ID)),
    ("token.kind", id(field::TOKEN_KIND)),
    ("message.id", id(field::MESSAGE_ID)),
    ("message.channel", id(field::MESSAGE_CHANNEL)),
    ("message.provider", id(field::MESSAGE_PROVIDER)),
    ("http.request.id", id(field::REQUEST_ID)),
    ("http.request.method", id(field::REQUEST_METHOD)),
    ("url.path", id(field::URL_PATH)),
    ("trace.id", id(field::TRACE_ID)),
    ("actor.kind", id(field::ACTOR_KIND)),
    ("deploy.id", id(field::DEPLOY_ID)),
    ("deploy.commit", id(field::DEPLOY_COMMIT)),
    ("deploy.service", id(field::DEPLOY_SERVICE)),
    ("deploy.environment", id(field::DEPLOY_ENVIRONMENT)),
    ("deploy.pipeline", id(field::DEPLOY_PIPELINE)),
    ("honeytoken.kind", id(field::HONEYTOKEN)),
    ("mailbox.kind", id(field::MAILBOX_KIND)),
    ("phone.number", id(field::PHONE_NUMBER)),
    ("phone.kind", id(field::PHONE_KIND)),
    ("containment.action_id", id(field::CONTAINMENT_ACTION)),
    ("time", id(field::TIME)),
    ("@timestamp", ALIAS_TIME),
    ("event.action", ALIAS_ACTION),
    ("client.ip", ALIAS_IP),
    ("source.address", ALIAS_IP),
    ("user.name", ALIAS_USER),
    ("user.target.name", ALIAS_TARGET),
    ("user_agent", ALIAS_AGENT),
    ("email.message_id", ALIAS_MESSAGE),
    ("source.as.organization", ALIAS_AS_NAME),
];

/// What stands in for which field, if only as a plain text.
const STAND_INS: &[(u8, FieldId)] = &[
    (ALIAS_USER, field::USER_ID),
    (ALIAS_TARGET, field::USER_TARGET_ID),
    (ALIAS_AGENT, field::USER_AGENT),
    (ALIAS_MESSAGE, field::MESSAGE_ID),
    (ALIAS_AS_NAME, field::SOURCE_AS_NAME),
];

/// ECS's own values of `event.kind`, which say nothing here; `event.action` then does.
const ECS_KINDS: &[&str] = &[
    "alert",
    "asset",
    "enrichment",
    "event",
    "metric",
    "state",
    "pipeline_error",
    "signal",
];

const fn id(field: FieldId) -> u8 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "canonical fields are fewer than ALIASES"
    )]
    let input = field.0 as u8;
    input
}

pub(crate) fn finish(doc: &Doc<'_>, canon: &mut Canon<'_>) -> Result<(), Flaw> {
    let times = [
        (doc.raw(id(field::TIME)), "time"),
        (doc.raw(ALIAS_TIME), "@timestamp"),
    ];
    let time = canon::first_time(times, "time");
    kind(doc, canon)?;
    canon.time(time?);
    doc.each(|number, raw| match number {
        0..ALIASES => set(doc, canon, FieldId(u16::from(number)), raw),
        _ => Ok(()),
    })?;
    if doc.text(id(field::SOURCE_IP)).is_none()
        && let Some(text) = doc.text(ALIAS_IP)
    {
        canon.ip(text)?;
    }
    for (input, field) in STAND_INS {
        if let Some(text) = doc.text(*input)
            && doc.raw(field.0.to_le_bytes()[0]).is_none()
        {
            canon.text(*field, text);
        }
    }
    if doc.text(id(field::USER_TARGET_ID)).is_none() && doc.text(ALIAS_TARGET).is_none() {
        canon.id(
            field::USER_TARGET_ID,
            doc.raw(id(field::USER_ID)).or(doc.raw(ALIAS_USER)),
        );
    }
    if canon.contacts.is_some() && doc.text(id(field::USER_EMAIL)).is_none() {
        account_is_mailbox(doc, canon);
    }
    Ok(())
}

/// Where accounts are called by their address, the mail goes there.
fn account_is_mailbox(doc: &Doc<'_>, canon: &mut Canon<'_>) {
    const CALLED: [u8; 4] = [
        id(field::USER_TARGET_ID),
        ALIAS_TARGET,
        id(field::USER_ID),
        ALIAS_USER,
    ];
    if let Some(name) = CALLED.iter().find_map(|input| doc.text(*input)) {
        canon.mailbox(name);
    }
}

fn kind(doc: &Doc<'_>, canon: &mut Canon<'_>) -> Result<(), Flaw> {
    let action = doc.text(ALIAS_ACTION);
    let kind = match doc.raw(id(field::EVENT_KIND)) {
        Some(Raw::Text(kind)) if !normal::is_missing(kind) => match action {
            Some(action) if ECS_KINDS.contains(&kind) => action,
            _ => kind.trim(),
        },
        None | Some(Raw::Null | Raw::Text(_)) => {
            action.ok_or(Flaw::new(Reason::MissingKind, "event.kind", "is missing"))?
        }
        Some(_) => return Err(Flaw::new(Reason::WrongType, "event.kind", "is not a text")),
    };
    let plain =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    if kind.bytes().all(plain) {
        canon.kind(kind);
        return Ok(());
    }
    let fine = |b: u8| b == b' ' || (b.is_ascii_graphic() && b != b'@');
    if kind.len() > 128 || !kind.bytes().all(fine) {
        return Err(Flaw::new(
            Reason::InvalidValue,
            "event.kind",
            "is not the name of a kind",
        ));
    }
    canon.kind(&kind.to_ascii_lowercase());
    Ok(())
}

fn set(doc: &Doc<'_>, canon: &mut Canon<'_>, field: FieldId, raw: Raw<'_>) -> Result<(), Flaw> {
    let name = field::CANONICAL
        .get(usize::from(field.0))
        .copied()
        .unwrap_or_default();
    let wrong = Flaw::new(Reason::WrongType, name, "has a wrong type");
    let text = match (field, raw) {
        (field::EVENT_KIND | field::TIME | field::EVENT_SCHEMA, _) | (_, Raw::Null) => {
            return Ok(());
        }
        (_, Raw::Text(text)) => text,
        (field::SOURCE_AS_NUMBER, Raw::Int(n)) if u32::try_from(n).is_ok() => {
            canon.as_number(Some(raw));
            return Ok(());
        }
        (field::PHONE_NUMBER, Raw::Int(n)) => {
            canon.phone(&n.to_string());
            return Ok(());
        }
        (
            field::SOURCE_IP | field::USER_EMAIL | field::EVENT_OUTCOME | field::SOURCE_COUNTRY,
            _,
        ) => {
            return Err(wrong);
        }
        (_, Raw::Int(_)) => {
            canon.id(field, Some(raw));
            return Ok(());
        }
        (_, Raw::Bool(_) | Raw::Float(_) | Raw::Object(_) | Raw::Array(_)) => return Err(wrong),
    };
    if normal::is_missing(text) {
        return Ok(());
    }
    match field {
        field::SOURCE_IP => canon.ip(text)?,
        field::USER_EMAIL => canon.email(text),
        field::PHONE_NUMBER => canon.phone(text),
        field::SOURCE_AS_NUMBER => {
            let flaw = Flaw::new(Reason::InvalidValue, name, "is not an AS number");
            normal::as_number(text).ok_or(flaw)?;
            canon.as_number(Some(raw));
        }
        field::SOURCE_COUNTRY => canon.country(text),
        field::EVENT_OUTCOME => canon.outcome(normal::outcome(text)),
        // Where there is an address its network is derived from it.
        field::SOURCE_CIDR if doc.text(id(field::SOURCE_IP)).is_some() => {}
        _ => canon.text(field, text),
    }
    Ok(())
}
