//! A value first seen: none of its key's earlier observations within the span showed it, and the key
//! itself was known by then. A key that showed nothing for the span begins anew.

use super::Item;
use super::window::{Opened, held};
use crate::fact::Fact;

/// What makes a value new, beside the span.
#[derive(Clone, Copy)]
pub struct First {
    /// Fields whose values together are the value.
    pub fields: &'static [&'static str],
    pub known_min: usize,
    pub warmup: i64,
    /// So often within so long from its first sight.
    pub burst: Option<(usize, i64)>,
}

impl First {
    fn value(self, fact: &Fact) -> Option<Vec<&str>> {
        self.fields.iter().map(|f| fact.get(f)).collect()
    }
}

pub fn openings<'a>(items: &[Item<'a>], span: i64, suppress: i64, first: First) -> Vec<Opened<'a>> {
    let mut detected = Vec::new();
    let valued: Vec<_> = items
        .iter()
        .filter_map(|i| Some((i, first.value(i.fact)?)))
        .collect();
    let lives = valued.chunk_by(|(a, _), (b, _)| b.time - a.time <= span);
    for life in lives {
        for (at, (item, value)) in life.iter().enumerate() {
            let sights = life.iter().enumerate().filter(|(_, (_, v))| v == value);
            // A time is remembered to the second.
            let second = |t: i64| t.div_euclid(1000);
            let is_new = |at: usize| {
                let before = sights.clone().take_while(|(n, _)| *n < at).last();
                let now = life[at].0.time;
                let known = |i: &Item<'_>| second(now) - second(i.time) < span / 1000;
                let settled = at >= first.known_min && now - life[0].0.time >= first.warmup;
                settled && before.is_none_or(|(_, (i, _))| !known(i))
            };
            let fires = match first.burst {
                None => is_new(at),
                Some((count, within)) => {
                    let upto: Vec<usize> = sights
                        .clone()
                        .map(|(n, _)| n)
                        .filter(|n| *n <= at)
                        .collect();
                    let began = upto.len().checked_sub(count).map(|n| upto[n]);
                    let newest = upto.iter().rev().find(|n| is_new(**n));
                    began.is_some_and(|began| {
                        newest == Some(&began) && item.time - life[began].0.time < within
                    })
                }
            };
            if fires {
                detected.push((item.time, item.fact));
            }
        }
    }
    held(detected, suppress)
}
