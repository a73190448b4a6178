//! Writes canonical fields: each in its one form, and only if someone reads it.
//!
//! The schemas say which value goes where; the rules for values live in `normal` and `scrub`.
//! Invariant: a value that stands for nothing never becomes a field.

use std::fmt::Write as _;

use crate::model::contacts::Contacts;
use crate::model::event::Projection;
use crate::model::redact::Redactor;
use crate::model::{Event, EventTime, FieldId, Value, field};

use super::country;
use super::dead::{Flaw, Reason};
use super::draft::Raw;
use super::normal;
use super::scrub::{self, Fit, Policy};

/// Longest type name that is taken into a `custom.*` kind, in bytes.
const KIND_MAX: usize = 128;

/// Writes one event. Borrowed anew for each.
pub(crate) struct Canon<'a> {
    pub event: &'a mut Event,
    pub projection: &'a Projection,
    pub redactor: &'a Redactor,
    /// What is known of mailboxes and numbers, if anyone reads it.
    pub contacts: Option<&'a Contacts>,
    pub buffer: &'a mut Buffer,
}

/// Scratch texts, reused.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    fit: String,
    number: String,
    pub lower: String,
}

impl Canon<'_> {
    /// Whether a field is read by anyone.
    pub(crate) fn wants(&self, field: FieldId) -> bool {
        self.projection.wants(field)
    }

    /// The kind is always set.
    pub(crate) fn kind(&mut self, kind: &str) {
        self.event.set(field::EVENT_KIND, Value::Text(kind));
    }

    /// The kind of a type that has no canonical one: `custom.<schema>.<type in lower case>`.
    pub(crate) fn custom(&mut self, schema: &str, name: &str) {
        let buffer = &mut self.buffer.number;
        buffer.clear();
        let _ = write!(buffer, "custom.{schema}.");
        let limit = buffer.len() + KIND_MAX;
        for c in name.trim().chars().flat_map(char::to_lowercase) {
            if buffer.len() >= limit {
                break;
            }
            buffer.push(if c.is_control() { '_' } else { c });
        }
        let kind = match scrub::scrub(self.redactor, Policy::Text, buffer, &mut self.buffer.fit) {
            Fit::Changed => &self.buffer.fit,
            Fit::AsIs | Fit::Gone => &self.buffer.number,
        };
        self.event.set(field::EVENT_KIND, Value::Text(kind));
    }

    /// The event's time, and the field of it if someone asks for it by name.
    pub(crate) fn time(&mut self, time: EventTime) {
        self.event.time = time;
        if !self.projection.all && self.wants(field::TIME) {
            self.buffer.number.clear();
            let _ = write!(self.buffer.number, "{time}");
            self.event
                .set(field::TIME, Value::Text(&self.buffer.number));
        }
    }

    /// A text that comes from a fixed list.
    pub(crate) fn word(&mut self, field: FieldId, word: &'static str) {
        if self.wants(field) {
            self.event.set(field, Value::Text(word));
        }
    }

    /// A text of the source, made fit to keep.
    pub(crate) fn text(&mut self, field: FieldId, text: &str) {
        if !self.wants(field) {
            return;
        }
        let text = normal::trimmed(text);
        if normal::is_missing(text) {
            return;
        }
        let policy = match field {
            field::TOKEN_ID => Policy::Identifier,
            field::URL_PATH => Policy::Link,
            _ => Policy::Text,
        };
        match scrub::scrub(self.redactor, policy, text, &mut self.buffer.fit) {
            Fit::AsIs => self.event.set(field, Value::Text(text)),
            Fit::Changed => self.event.set(field, Value::Text(&self.buffer.fit)),
            Fit::Gone => {}
        }
    }

    pub(crate) fn maybe(&mut self, field: FieldId, text: Option<&str>) {
        if let Some(text) = text {
            self.text(field, text);
        }
    }

    /// An identifier: a text, or a whole number written as one.
    pub(crate) fn id(&mut self, field: FieldId, raw: Option<Raw<'_>>) {
        match raw {
            Some(Raw::Text(text)) => self.text(field, text),
            Some(Raw::Int(n)) if self.wants(field) => {
                self.buffer.number.clear();
                let _ = write!(self.buffer.number, "{n}");
                self.event.set(field, Value::Text(&self.buffer.number));
            }
            _ => {}
        }
    }

    /// The pseudonym of an address, and its mailbox; `Name <address>` is taken for its address.
    pub(crate) fn email(&mut self, address: &str) {
        if normal::is_missing(address) {
            return;
        }
        if self.wants(field::USER_EMAIL) {
            scrub::pseudonym(self.redactor, address, &mut self.buffer.fit);
            self.event
                .set(field::USER_EMAIL, Value::Text(&self.buffer.fit));
        }
        self.mailbox(address);
    }

    /// What a list says of an address, unless the event says it itself.
    pub(crate) fn mailbox(&mut self, address: &str) {
        if let Some(contacts) = self.contacts
            && self.lacks(field::MAILBOX_KIND)
            && contacts.is_disposable(scrub::address_in(address))
        {
            self.word(field::MAILBOX_KIND, "disposable");
        }
    }

    /// The pseudonym of a telephone number, and what a list says of it unless the event does.
    pub(crate) fn phone(&mut self, number: &str) {
        if normal::is_missing(number) {
            return;
        }
        if self.wants(field::PHONE_NUMBER) {
            self.buffer.fit.clear();
            self.redactor.phone_into(number, &mut self.buffer.fit);
            self.event
                .set(field::PHONE_NUMBER, Value::Text(&self.buffer.fit));
        }
        if let Some(contacts) = self.contacts
            && self.lacks(field::PHONE_KIND)
            && contacts.is_voip(number)
        {
            self.word(field::PHONE_KIND, "voip");
        }
    }

    /// Whether a field is read by someone and not there yet. What a document says of it later on
    /// takes the place of what a list said.
    fn lacks(&self, field: FieldId) -> bool {
        self.wants(field) && matches!(self.event.get(field), None | Some(Value::Null))
    }

    /// The same, where a name may stand instead of an address.
    pub(crate) fn email_if_address(&mut self, text: Option<&str>) -> bool {
        match text {
            Some(text) if text.contains('@') => {
                self.email(text);
                true
            }
            _ => false,
        }
    }

    /// The source address and its network.
    pub(crate) fn ip(&mut self, text: &str) -> Result<(), Flaw> {
        let text = normal::trimmed(text);
        if normal::is_missing(text) {
            return Ok(());
        }
        let (address, network) = (self.wants(field::SOURCE_IP), self.wants(field::SOURCE_CIDR));
        let buffer = &mut self.buffer.number;
        buffer.clear();
        // Mostly it is already in its canonical form.
        if normal::dotted(text.as_bytes()).is_some() {
            if address {
                self.event.set(field::SOURCE_IP, Value::Text(text));
            }
            if network {
                normal::dotted_cidr_into(text, buffer);
                self.event.set(field::SOURCE_CIDR, Value::Text(buffer));
            }
            return Ok(());
        }
        let flaw = Flaw::new(Reason::InvalidValue, "source.ip", "is not an ip address");
        let ip = normal::ip(text).ok_or(flaw)?;
        if ip.is_unspecified() {
            return Ok(());
        }
        if address {
            let _ = write!(buffer, "{ip}");
            self.event.set(field::SOURCE_IP, Value::Text(buffer));
        }
        if network {
            buffer.clear();
            normal::cidr_into(ip, buffer);
            self.event.set(field::SOURCE_CIDR, Value::Text(buffer));
        }
        Ok(())
    }

    /// The autonomous system's number; anything that is none is missing.
    pub(crate) fn as_number(&mut self, raw: Option<Raw<'_>>) {
        let number = match raw {
            Some(Raw::Int(n)) => u32::try_from(n).ok().filter(|n| *n != 0).map(i64::from),
            Some(Raw::Text(text)) => normal::as_number(text),
            _ => None,
        };
        if let Some(n) = number
            && self.wants(field::SOURCE_AS_NUMBER)
        {
            self.event.set(field::SOURCE_AS_NUMBER, Value::Int(n));
        }
    }

    /// The country from its name or code; any two letters or digits are taken for a code.
    pub(crate) fn country(&mut self, text: &str) {
        if !self.wants(field::SOURCE_COUNTRY) || normal::is_missing(text) {
            return;
        }
        let text = normal::trimmed(text);
        if let [a @ b'0'..=b'z', b @ b'0'..=b'z'] = text.as_bytes()
            && a.is_ascii_alphanumeric()
            && b.is_ascii_alphanumeric()
        {
            let upper = [a.to_ascii_uppercase(), b.to_ascii_uppercase()];
            let upper = std::str::from_utf8(&upper).unwrap_or_default();
            self.event.set(field::SOURCE_COUNTRY, Value::Text(upper));
        } else if let Some(code) = country::code(text, &mut self.buffer.fit) {
            self.event.set(field::SOURCE_COUNTRY, Value::Text(code));
        }
    }

    pub(crate) fn outcome(&mut self, outcome: Option<&'static str>) {
        if let Some(outcome) = outcome {
            self.word(field::EVENT_OUTCOME, outcome);
        }
    }
}

/// Reads a time from a document's value: RFC 3339 text, or an epoch number in either form.
pub(crate) fn time(raw: Option<Raw<'_>>, field: &'static str) -> Result<Option<EventTime>, Flaw> {
    let invalid = Flaw::new(Reason::InvalidTime, field, "cannot be read as a time");
    match raw {
        None | Some(Raw::Null) => Ok(None),
        Some(Raw::Text(text)) if normal::is_missing(text) => Ok(None),
        Some(Raw::Text(text)) => {
            let epoch = || text.trim().parse().ok().and_then(EventTime::from_epoch_int);
            EventTime::parse(text)
                .or_else(epoch)
                .map(Some)
                .ok_or(invalid)
        }
        Some(Raw::Int(n)) => EventTime::from_epoch_int(n).map(Some).ok_or(invalid),
        Some(Raw::Float(n)) => EventTime::from_epoch(n).map(Some).ok_or(invalid),
        Some(Raw::Bool(_) | Raw::Object(_) | Raw::Array(_)) => Err(Flaw::new(
            Reason::WrongType,
            field,
            "is neither a text nor a number",
        )),
    }
}

/// The first time that is there.
pub(crate) fn first_time<'a>(
    candidates: impl IntoIterator<Item = (Option<Raw<'a>>, &'static str)>,
    wanted: &'static str,
) -> Result<EventTime, Flaw> {
    for (raw, field) in candidates {
        if let Some(time) = time(raw, field)? {
            return Ok(time);
        }
    }
    Err(Flaw::new(Reason::MissingTime, wanted, "is missing"))
}
