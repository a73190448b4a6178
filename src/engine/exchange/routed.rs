//! What stage 1 hands to stage 2: a batch's observations, and the place of each of its events.
//!
//! Owns no meaning of its own. Invariant: every record is in it, by a mark for each of its events or
//! as one that brought none, so that the frontier can pass it.

use super::{Observation, Origin};

/// One event's place in the stream, also where no rule reads it: it moves the watermark.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    pub time: i64,
    /// Fingerprint of the event's id; 0 if it has none.
    pub id: u64,
    pub origin: Origin,
    /// How many observations of `Routed::observations` are this event's.
    pub observations: u16,
    /// The source gave a trustworthy upper bound for the time, so it is never "far ahead".
    pub bounded: bool,
}

/// What stage 1 makes of a batch of records.
#[derive(Clone, Debug, Default)]
pub struct Routed {
    pub marks: Vec<Mark>,
    /// Records that brought no event: the frontier passes them, too. Per run of one partition the last.
    pub passed: Vec<Origin>,
    pub observations: Vec<Observation>,
    pub text: Vec<u8>,
    /// Per rule, observations that had no value for a group-by field.
    pub keyless: Vec<u64>,
    /// Events that our own containment brought about.
    pub contained: u64,
}

impl Routed {
    pub fn clear(&mut self) {
        self.marks.clear();
        self.passed.clear();
        self.observations.clear();
        self.text.clear();
        self.keyless.clear();
        self.contained = 0;
    }

    /// A record brought no event.
    pub fn pass(&mut self, origin: Origin) {
        match self.passed.last_mut() {
            Some(last) if (last.source, last.partition) == (origin.source, origin.partition) => {
                *last = origin;
            }
            _ => self.passed.push(origin),
        }
    }

    /// How much is in it: marks, observations, text.
    #[must_use]
    pub fn len(&self) -> (usize, usize, usize) {
        (self.marks.len(), self.observations.len(), self.text.len())
    }

    /// Takes out what came since it was this long.
    pub fn truncate(&mut self, (marks, observations, text): (usize, usize, usize)) {
        self.marks.truncate(marks);
        self.observations.truncate(observations);
        self.text.truncate(text);
    }

    pub(super) fn count_keyless(&mut self, rule: u16) {
        let rule = usize::from(rule);
        if self.keyless.len() <= rule {
            self.keyless.resize(rule + 1, 0);
        }
        self.keyless[rule] += 1;
    }
}
