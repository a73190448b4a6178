//! Stage 1 of one thread: bytes -> event -> enriched -> routed. Stateless from event to event.

use std::sync::Arc;

use crate::decode::{DeadLetter, Decoded, Decoder, Limits, Schema};
use crate::engine::exchange::{Origin, Routed, Router};
use crate::engine::program::Program;
use crate::enrich::{Enricher, Tables};
use crate::model::event::Projection;
use crate::model::redact::Redactor;
use crate::model::{Event, EventTime, Span, Value, WallTime, field};
use crate::source::{Record, Stamp};

/// What became of one element of a record.
#[derive(Debug)]
pub enum Fate<'a> {
    Event(&'a mut Event),
    Dead(DeadLetter),
}

/// What a source says of a record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'a> {
    /// The schema its topic is configured to have.
    pub hint: Option<Schema>,
    pub origin: Origin,
    /// What its events may say of their time is bounded by this.
    pub bound: Option<EventTime>,
    /// The bound is the broker's time, so it also holds for a record that waited long.
    pub is_appended: bool,
    /// From a header; stands where an event has no id of its own.
    pub event_id: Option<&'a str>,
}

impl<'a> Beside<'a> {
    /// A line of a file or a case, by its number; nothing else is known of it.
    #[must_use]
    pub fn line(offset: i64) -> Self {
        let origin = Origin {
            offset,
            ..Origin::default()
        };
        Self {
            origin,
            ..Self::default()
        }
    }

    /// What a record's source says of it, which was read at this time; `hints` are by the number of
    /// its topic.
    #[must_use]
    pub fn of(record: &Record<'a>, hints: &[Option<Schema>], read_at: WallTime) -> Self {
        let place = record.partition;
        Self {
            hint: hints.get(usize::from(place.topic)).copied().flatten(),
            origin: Origin {
                source: place.topic,
                partition: place.number,
                offset: record.offset,
            },
            bound: record.stamp.bound(read_at).map(|t| EventTime(t.0)),
            is_appended: matches!(record.stamp, Stamp::Appended(_)),
            event_id: record.event_id,
        }
    }
}

/// An event's time is at most this far ahead of its bound: one record dated 2099 must not make all
/// others late. There is no lower bound: an old time makes only its own event late, and recorded
/// events put through Kafka keep their times.
const AHEAD_MAX: Span = Span::seconds(60);

/// See the module's text.
pub struct Stage {
    decoder: Decoder,
    enricher: Enricher,
    router: Router,
}

impl Stage {
    #[must_use]
    pub fn new(program: &Arc<Program>, projection: Projection, tables: Arc<Tables>) -> Self {
        let redactor = Redactor::new(&program.key);
        let fields = &program.plan.fields;
        let mut decoder = Decoder::new(fields, Arc::new(projection), redactor, Limits::default());
        decoder.set_contacts(tables.contacts().cloned());
        Self {
            decoder,
            enricher: Enricher::new(tables),
            router: Router::new(Arc::clone(program)),
        }
    }

    /// Goes on with other tables.
    pub fn set_tables(&mut self, tables: Arc<Tables>) {
        self.decoder.set_contacts(tables.contacts().cloned());
        self.enricher = Enricher::new(tables);
    }

    /// Decodes and enriches a record, and hands out what comes of it, with the router to send it on.
    pub fn each(
        &mut self,
        bytes: &[u8],
        hint: Option<Schema>,
        mut take: impl FnMut(Fate<'_>, &mut Router),
    ) {
        let (enricher, router) = (&mut self.enricher, &mut self.router);
        self.decoder
            .decode(bytes, hint, &mut |decoded| match decoded {
                Decoded::Event(event) => {
                    enricher.enrich(event);
                    take(Fate::Event(event), router);
                }
                Decoded::Dead(dead) => take(Fate::Dead(dead), router),
            });
    }

    /// A record's whole way through stage 1, with what its source says beside it.
    pub fn work(
        &mut self,
        bytes: &[u8],
        beside: &Beside<'_>,
        out: &mut Routed,
        dead: &mut Vec<(Origin, DeadLetter)>,
    ) {
        let origin = beside.origin;
        let before = out.marks.len();
        self.each(bytes, beside.hint, |fate, router| match fate {
            Fate::Event(event) => {
                if let Some(bound) = beside.bound {
                    event.time = event.time.min(bound + AHEAD_MAX);
                }
                if let Some(id) = beside.event_id
                    && event.get(field::EVENT_ID).is_none()
                {
                    event.set(field::EVENT_ID, Value::Text(id));
                }
                router.route(event, origin, beside.is_appended, out);
            }
            Fate::Dead(letter) => dead.push((origin, letter)),
        });
        if out.marks.len() == before {
            out.pass(origin);
        }
    }
}
