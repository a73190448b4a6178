//! From bytes to events: one mapping per schema, or a dead letter with a reason code.
//!
//! Pure: no I/O, no clock, no logging. Owns normalisation and the end of secrets: what comes out of
//! here may be stored and shown. Invariant: every record yields at least one event or dead letter
//! (an empty array yields none), and nothing a record holds can make this panic.

use std::sync::Arc;

use crate::model::contacts::Contacts;
use crate::model::event::Projection;
use crate::model::redact::Redactor;
use crate::model::{Event, FieldId, Fields, field};

mod canon;
mod country;
pub mod dead;
mod draft;
mod json;
mod normal;
mod paths;
pub mod schema;
mod scrub;

pub use dead::{DeadLetter, Reason};
pub use schema::Schema;

use canon::{Buffer, Canon};
use dead::{Flaw, dead, end_of_broken, faulty};
use draft::{At, Collect, Doc, Draft, Raw, Scratch};
use json::{Budget, Fault, FaultKind, Frame, Scan};
use paths::Paths;

/// What a record may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest record, in bytes.
    pub bytes_max: usize,
    /// Deepest nesting of objects and arrays in one event.
    pub depth_max: usize,
    /// Most members and elements of one event.
    pub members_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: 1 << 20,
            depth_max: 64,
            members_max: 4096,
        }
    }
}

/// What `Decoder::decode` hands out.
#[derive(Debug)]
pub enum Decoded<'a> {
    /// The event is reused afterwards: take what is to stay.
    Event(&'a mut Event),
    Dead(DeadLetter),
}

/// What a system before us may have said of an event of any schema: read by its name in all.
const SAID_BEFORE: [FieldId; 2] = [field::MAILBOX_KIND, field::PHONE_KIND];

/// How deep one document may stand in another: an SNS message in a hook is two.
const NESTING_MAX: usize = 3;

/// Decodes records. Keeps its buffers from one record to the next; one per thread.
#[derive(Debug)]
pub struct Decoder {
    fields: usize,
    projection: Arc<Projection>,
    redactor: Redactor,
    /// Asked for mailboxes and numbers; `None` where nobody reads the answer.
    contacts: Option<Arc<Contacts>>,
    limits: Limits,
    /// Path tables in the order of `Schema::ALL`.
    tables: Vec<Paths>,
    /// What the last document was: tried first, and checked.
    guess: Schema,
    work: Work,
    event: Event,
    /// What all recipients of one mail share.
    shared: Event,
}

/// Buffers of one document in work.
#[derive(Debug, Default)]
struct Work {
    draft: Draft,
    scan: Scan,
    stack: Vec<Frame<At>>,
    unescaped: String,
    scratch: Scratch,
    buffer: Buffer,
    /// The id of the envelope that the text in work came in.
    envelope: String,
}

/// What one element turned out to be.
enum Found {
    Events,
    /// The element is an envelope: go on with what begins there.
    Inside(Raw<'static>, Schema),
    /// The element is an envelope: go on with this text.
    Wrapped(String),
}

impl Decoder {
    /// A decoder for the fields that `projection` keeps. Names in `fields` beyond the canonical ones
    /// are filled from the same path of the source's own document.
    #[must_use]
    pub fn new(
        fields: &Fields,
        projection: Arc<Projection>,
        redactor: Redactor,
        limits: Limits,
    ) -> Self {
        let canonical = field::CANONICAL.len();
        let named: Vec<(FieldId, &str)> = fields
            .iter()
            .filter(|(id, _)| usize::from(id.0) >= canonical || SAID_BEFORE.contains(id))
            .filter(|(id, _)| projection.wants(*id))
            .collect();
        let table = |schema| {
            let mut paths = schema::paths(schema);
            for (id, name) in &named {
                // Our own schema reads them as its own fields.
                if schema != Schema::Tidegate || !SAID_BEFORE.contains(id) {
                    paths.add_raw(name, *id);
                }
            }
            paths
        };
        Self {
            fields: fields.len(),
            projection,
            redactor,
            contacts: None,
            limits,
            tables: Schema::ALL.map(table).into(),
            guess: Schema::Tidegate,
            work: Work::default(),
            event: Event::default(),
            shared: Event::default(),
        }
    }

    /// Goes on with other lists of mail domains and numbers. They are asked here and nowhere later:
    /// behind this, addresses and numbers are pseudonyms.
    pub fn set_contacts(&mut self, contacts: Option<Arc<Contacts>>) {
        let wants = |f: &FieldId| self.projection.wants(*f);
        self.contacts = contacts.filter(|_| SAID_BEFORE.iter().any(wants));
    }

    /// Decodes one record: an event or an array of events, of the schema `hint` or of the one whose
    /// shape it has. Calls `sink` once per event and per dead letter, in the order of the record.
    pub fn decode(
        &mut self,
        bytes: &[u8],
        hint: Option<Schema>,
        sink: &mut impl FnMut(Decoded<'_>),
    ) {
        if bytes.len() > self.limits.bytes_max {
            let detail = format!("more than the limit of {} bytes", self.limits.bytes_max);
            return dead(Reason::TooLarge, detail, hint, None, sink);
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(e) => {
                let detail = format!("not UTF-8 at byte {}", e.valid_up_to());
                return dead(Reason::InvalidUtf8, detail, hint, None, sink);
            }
        };
        if text.trim_ascii().is_empty() {
            return dead(
                Reason::Empty,
                "the record is empty".to_owned(),
                hint,
                None,
                sink,
            );
        }
        self.work.envelope.clear();
        self.text(text, hint, 0, sink);
    }

    fn text(
        &mut self,
        text: &str,
        hint: Option<Schema>,
        nesting: usize,
        sink: &mut impl FnMut(Decoded<'_>),
    ) {
        self.work.scan.prepare(text);
        let start = json::skip_space(text.as_bytes(), 0);
        let end = if text.as_bytes().get(start) == Some(&b'[') {
            self.array(text, start, hint, nesting, sink)
        } else {
            match self.element(text, start, hint, None, nesting, Strictness::Whole, sink) {
                Ok(end) => Some(end),
                Err(fault) => return faulty(fault, hint, None, sink),
            }
        };
        let rest = end.map(|end| json::skip_space(text.as_bytes(), end));
        if let Some(at) = rest.filter(|at| *at < text.len()) {
            let fault = Fault {
                kind: FaultKind::Syntax("data after the end"),
                at,
            };
            faulty(fault, hint, None, sink);
        }
    }

    /// Decodes the elements of the array at `start`; `None` if its end was not found.
    fn array(
        &mut self,
        text: &str,
        start: usize,
        hint: Option<Schema>,
        nesting: usize,
        sink: &mut impl FnMut(Decoded<'_>),
    ) -> Option<usize> {
        let bytes = text.as_bytes();
        let mut at = json::skip_space(bytes, start + 1);
        if bytes.get(at) == Some(&b']') {
            return Some(at + 1);
        }
        for number in 0.. {
            let end = match self.element(
                text,
                at,
                hint,
                Some(number),
                nesting,
                Strictness::Part,
                sink,
            ) {
                Ok(end) => end,
                Err(fault) => {
                    faulty(fault, hint, Some(number), sink);
                    end_of_broken(bytes, at)?
                }
            };
            at = json::skip_space(bytes, end);
            match bytes.get(at) {
                Some(b',') => at = json::skip_space(bytes, at + 1),
                Some(b']') => return Some(at + 1),
                _ => {
                    let kind = FaultKind::Syntax("a comma or a closing bracket was expected");
                    faulty(Fault { kind, at }, hint, None, sink);
                    return None;
                }
            }
        }
        None
    }

    /// Decodes the value at `start` and returns where it ends.
    #[expect(
        clippy::too_many_arguments,
        reason = "one call carries an element's whole context"
    )]
    fn element(
        &mut self,
        text: &str,
        start: usize,
        hint: Option<Schema>,
        number: Option<usize>,
        nesting: usize,
        strictness: Strictness,
        sink: &mut impl FnMut(Decoded<'_>),
    ) -> Result<usize, Fault> {
        let mut schema = hint.unwrap_or(self.guess);
        let mut end = self.collect(text, start, schema)?;
        if strictness == Strictness::Whole {
            let rest = json::skip_space(text.as_bytes(), end);
            if rest < text.len() {
                return Err(Fault {
                    kind: FaultKind::Syntax("data after the end"),
                    at: rest,
                });
            }
        }
        if text.as_bytes().get(start) != Some(&b'{') {
            dead(
                Reason::WrongType,
                "an event must be an object".to_owned(),
                hint,
                number,
                sink,
            );
            return Ok(end);
        }
        if hint.is_none() {
            let Some(found) = schema::detect(self.work.draft.marks) else {
                let detail = "the members fit none of the known schemas".to_owned();
                dead(Reason::UnknownSchema, detail, None, number, sink);
                return Ok(end);
            };
            if found != schema {
                schema = found;
                self.guess = found;
                end = self.collect(text, start, schema)?;
            }
        }
        match self.finish(text, schema, sink) {
            Ok(Found::Events) => {}
            Ok(Found::Inside(..) | Found::Wrapped(_)) if nesting >= NESTING_MAX => {
                let detail = "envelopes stand in one another too deeply".to_owned();
                dead(Reason::TooDeep, detail, Some(schema), number, sink);
            }
            Ok(Found::Inside(Raw::Array(at), inner)) => {
                self.array(text, at, Some(inner), nesting + 1, sink);
            }
            Ok(Found::Inside(Raw::Object(at), inner)) => {
                self.element(
                    text,
                    at,
                    Some(inner),
                    number,
                    nesting + 1,
                    Strictness::Part,
                    sink,
                )?;
            }
            Ok(Found::Inside(..)) => {}
            Ok(Found::Wrapped(inner)) => {
                let scan = std::mem::take(&mut self.work.scan);
                self.text(&inner, Some(schema), nesting + 1, sink);
                self.work.scan = scan;
            }
            Err(flaw) => {
                dead(
                    flaw.reason,
                    format!("{} {}", flaw.field, flaw.what),
                    Some(schema),
                    number,
                    sink,
                );
            }
        }
        Ok(end)
    }

    /// One pass over the value at `start` with the table of `schema`.
    fn collect(&mut self, text: &str, start: usize, schema: Schema) -> Result<usize, Fault> {
        let Self {
            work,
            event,
            projection,
            redactor,
            tables,
            ..
        } = self;
        let Some(paths) = tables.get(schema.index()) else {
            return Ok(text.len());
        };
        event.clear(self.fields);
        event.schema = schema.name();
        if projection.wants(field::EVENT_SCHEMA) {
            draft::name_schema(event, schema.name());
        }
        work.unescaped.clear();
        let budget = Budget {
            depth: self.limits.depth_max,
            members: self.limits.members_max,
        };
        let mut visitor = Collect::new(
            paths,
            &mut work.draft,
            event,
            redactor,
            &mut work.scratch,
            projection.all,
        );
        json::walk(
            (text, &work.scan),
            start,
            budget,
            &mut work.stack,
            &mut work.unescaped,
            &mut visitor,
        )
    }

    /// Turns what was collected into events.
    fn finish(
        &mut self,
        text: &str,
        schema: Schema,
        sink: &mut impl FnMut(Decoded<'_>),
    ) -> Result<Found, Flaw> {
        let Self {
            work,
            event,
            shared,
            projection,
            redactor,
            contacts,
            ..
        } = self;
        if let Some(path) = work.draft.repeated {
            let what = "stands twice in one object";
            return Err(Flaw::new(Reason::RepeatedKey, path, what));
        }
        let doc = Doc {
            text,
            unescaped: &work.unescaped,
            draft: &work.draft,
        };
        if projection.all {
            event.sort_extras();
        }
        let mut canon = Canon {
            event,
            projection,
            redactor,
            contacts: contacts.as_deref(),
            buffer: &mut work.buffer,
        };
        match schema {
            Schema::Tidegate => schema::tidegate::finish(&doc, &mut canon)?,
            Schema::Keycloak => schema::keycloak::finish(&doc, &mut canon)?,
            Schema::Github => schema::github::finish(&doc, &mut canon)?,
            Schema::Okta => {
                if let Some(inside) = schema::okta::enveloped(&doc) {
                    return Ok(Found::Inside(inside, schema));
                }
                schema::okta::finish(&doc, &mut canon)?;
            }
            Schema::Ses => {
                if let Some(inner) = schema::ses::wrapped(&doc) {
                    work.envelope.clear();
                    work.envelope
                        .push_str(schema::ses::envelope_id(&doc).unwrap_or_default());
                    return Ok(Found::Wrapped(inner.to_owned()));
                }
                if let Some(inside) = schema::ses::enveloped(&doc) {
                    return Ok(Found::Inside(inside, schema));
                }
                let count = schema::ses::count(&doc);
                if count > 1 {
                    shared.copy_from(canon.event);
                }
                for number in 0..count {
                    if number > 0 {
                        canon.event.copy_from(shared);
                    }
                    let part = schema::ses::Part {
                        number,
                        count,
                        envelope: &work.envelope,
                    };
                    schema::ses::finish(&doc, &mut canon, part)?;
                    sink(Decoded::Event(canon.event));
                }
                return Ok(Found::Events);
            }
        }
        sink(Decoded::Event(canon.event));
        Ok(Found::Events)
    }
}

/// Whether a value must be all there is in its text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strictness {
    Whole,
    Part,
}

#[cfg(test)]
mod tests;
