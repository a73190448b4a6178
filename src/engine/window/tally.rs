//! A sliding count that is right at any size: exact while few, and 64 buckets beyond.
//!
//! For counts that are compared with each other, where a cap would bend the comparison.

use serde::{Deserialize, Serialize};

use super::buckets::Buckets;
use super::stamps::Stamps;

/// Events of one window counted to the millisecond.
const EXACT_MAX: usize = 1024;

/// See the module's text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Tally {
    Exact(Stamps),
    Rate(Buckets),
}

impl Default for Tally {
    fn default() -> Self {
        Self::Exact(Stamps::default())
    }
}

impl Tally {
    pub fn insert(&mut self, time: i64, span: i64) {
        match self {
            Self::Rate(rate) => rate.add(time, 1),
            Self::Exact(stamps) => {
                // The one that falls out still counts where it is younger than the span.
                let oldest = stamps.get(0).filter(|t| *t > time - span);
                if stamps.len() < EXACT_MAX || oldest.is_none() {
                    stamps.insert(time, EXACT_MAX);
                    return;
                }
                let mut rate = Buckets::new(span);
                for at in (0..stamps.len()).filter_map(|i| stamps.get(i)) {
                    rate.add(at, 1);
                }
                rate.add(time, 1);
                *self = Self::Rate(rate);
            }
        }
    }

    /// Events in `(now - span, now]`.
    #[must_use]
    pub fn count(&self, now: i64, span: i64) -> u64 {
        match self {
            Self::Exact(stamps) => stamps.count(now - span, now) as u64,
            Self::Rate(rate) => rate.count(now),
        }
    }

    /// The first event after `from` while exact, else when a bucket later has left.
    #[must_use]
    pub fn first_after(&self, from: i64, span: i64) -> Option<i64> {
        match self {
            Self::Exact(stamps) => stamps.first_after(from),
            Self::Rate(_) => Some(from + (span / 64).max(1)),
        }
    }

    /// The largest relative error in time of `count`; `None` while exact.
    #[must_use]
    pub fn error(&self) -> Option<f64> {
        matches!(self, Self::Rate(_)).then_some(Buckets::RESOLUTION)
    }

    #[must_use]
    pub fn heap(&self) -> usize {
        match self {
            Self::Exact(stamps) => stamps.heap(),
            Self::Rate(_) => Buckets::HEAP,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against the definition, at every size: exact while few, within one bucket beyond.
        #[test]
        fn counts_what_is_in_the_window(steps in prop::collection::vec(0i64..12, 1..4000), later in 0i64..3000) {
            let (mut tally, mut times, mut now) = (Tally::default(), Vec::new(), 100_000);
            let span = 6400;
            for step in steps {
                now += step;
                times.push(now);
                tally.insert(now, span);
            }
            let now = now + later;
            let within = |from: i64| times.iter().filter(|t| **t > from && **t <= now).count() as u64;
            let got = tally.count(now, span);
            prop_assert!(got <= within(now - span), "{got}");
            let slack = if tally.error().is_some() { span / 64 } else { 0 };
            prop_assert!(got >= within(now - span + slack), "{got}");
        }
    }
}
