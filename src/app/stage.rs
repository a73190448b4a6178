//! Stage 1 of one thread: bytes -> event -> enriched -> routed. Stateless from event to event.

use std::sync::Arc;

use crate::decode::{DeadLetter, Decoded, Decoder, Limits, Schema};
use crate::engine::exchange::{Origin, Routed, Router};
use crate::engine::program::Program;
use crate::enrich::{Enricher, Tables};
use crate::model::event::Projection;
use crate::model::redact::Redactor;
use crate::model::{Event, EventTime, Span};

/// What became of one element of a record.
#[derive(Debug)]
pub enum Fate<'a> {
    Event(&'a mut Event),
    Dead(DeadLetter),
}

/// An event's time is at most this far ahead of the broker's: one record dated 2099 must not make
/// all others late. There is no lower bound: an old time makes only its own event late, and
/// recorded events put through Kafka keep their times.
const AFTER_BROKER: Span = Span::seconds(60);

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
        Self {
            decoder: Decoder::new(fields, Arc::new(projection), redactor, Limits::default()),
            enricher: Enricher::new(tables),
            router: Router::new(Arc::clone(program)),
        }
    }

    /// Goes on with other tables.
    pub fn set_tables(&mut self, tables: Arc<Tables>) {
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
        self.decoder.decode(bytes, hint, &mut |decoded| match decoded {
            Decoded::Event(event) => {
                enricher.enrich(event);
                take(Fate::Event(event), router);
            }
            Decoded::Dead(dead) => take(Fate::Dead(dead), router),
        });
    }

    /// A record's whole way through stage 1. `broker_time` bounds what its events may say.
    pub fn work(
        &mut self,
        bytes: &[u8],
        hint: Option<Schema>,
        origin: Origin,
        broker_time: Option<EventTime>,
        out: &mut Routed,
        dead: &mut Vec<(Origin, DeadLetter)>,
    ) {
        self.each(bytes, hint, |fate, router| match fate {
            Fate::Event(event) => {
                if let Some(broker) = broker_time {
                    event.time = event.time.min(broker + AFTER_BROKER);
                }
                router.route(event, origin, broker_time.is_some(), out);
            }
            Fate::Dead(letter) => dead.push((origin, letter)),
        });
    }
}
