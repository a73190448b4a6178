//! The values a key has shown, each with the second it was last seen: what "first seen" is held
//! against. Eight bytes a value, so a key may be remembered for months.
//!
//! Values are 32 bits of their keyed fingerprint: among 64 known ones a new one is taken for known
//! once in 60 million. Never holds more than its bound: the least recently seen go, and are counted.

use serde::{Deserialize, Serialize};

/// Part of a full set that makes room at once, so that a flood of new values stays cheap.
const ROOM: usize = 8;

/// See the module's text. Sorted by value.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Known {
    values: Vec<(u32, u32)>,
}

/// What a value met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// It was not seen within the span before.
    pub new: bool,
    /// Values that had to be forgotten before their time.
    pub forgotten: usize,
}

impl Known {
    /// Learns a value seen at `time` (ms); `span` (ms) is how long values are remembered.
    pub fn see(&mut self, value: u64, time: i64, span: i64, max: usize) -> Sight {
        let (value, now) = (short(value), second(time));
        let mut sight = Sight {
            new: true,
            forgotten: 0,
        };
        let within = |seen: u32| i64::from(now) - i64::from(seen) < (span / 1000).max(1);
        match self.values.binary_search_by_key(&value, |(v, _)| *v) {
            Ok(at) => {
                let seen = &mut self.values[at].1;
                sight.new = !within(*seen);
                *seen = now.max(*seen);
            }
            Err(at) if self.values.len() < max => self.values.insert(at, (value, now)),
            Err(_) => {
                self.values.retain(|(_, seen)| within(*seen));
                if self.values.len() >= max {
                    sight.forgotten = self.make_room(max);
                }
                let at = self.values.partition_point(|(v, _)| *v < value);
                self.values.insert(at, (value, now));
            }
        }
        sight
    }

    /// Forgets the least recently seen eighth; equal times in order of value.
    fn make_room(&mut self, max: usize) -> usize {
        let mut order: Vec<(u32, u32)> = self.values.iter().map(|(v, seen)| (*seen, *v)).collect();
        let go = (max / ROOM).clamp(1, order.len());
        let (_, last, _) = order.select_nth_unstable(go - 1);
        let last = *last;
        self.values.retain(|(v, seen)| (*seen, *v) > last);
        go
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    #[must_use]
    pub fn heap(&self) -> usize {
        self.values.capacity() * size_of::<(u32, u32)>()
    }
}

/// The part of a fingerprint that is kept.
#[must_use]
pub const fn short(value: u64) -> u32 {
    (value >> 32) as u32
}

/// Seconds since the epoch; until the year 2106.
fn second(time: i64) -> u32 {
    u32::try_from(time.div_euclid(1000).max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn value(n: u64) -> u64 {
        n << 32
    }

    proptest! {
        #[test]
        fn is_a_map_of_last_times_while_there_is_room(
            list in prop::collection::vec((0u64..9, 0i64..60), 1..120), span in 1i64..30,
        ) {
            let (mut known, mut model) = (Known::default(), BTreeMap::new());
            for (n, at) in list {
                let seen = model.get(&n).copied();
                let want = seen.is_none_or(|seen: i64| at - seen >= span);
                let got = known.see(value(n), at * 1000, span * 1000, 16);
                prop_assert_eq!(got, Sight { new: want, forgotten: 0 });
                model.insert(n, seen.unwrap_or(at).max(at));
            }
        }
    }

    #[test]
    fn a_full_set_forgets_the_least_recently_seen_and_says_so() {
        let mut known = Known::default();
        for n in 0..16 {
            known.see(value(n), i64::try_from(n).unwrap() * 1000, 1_000_000, 16);
        }
        known.see(value(0), 99_000, 1_000_000, 16);
        let sight = known.see(value(99), 100_000, 1_000_000, 16);
        assert_eq!((sight.forgotten, known.len()), (2, 15));
        assert!(!known.see(value(0), 101_000, 1_000_000, 16).new);
        assert!(known.see(value(1), 101_000, 1_000_000, 16).new, "forgotten");
        assert!(!known.see(value(3), 101_000, 1_000_000, 16).new);
    }

    #[test]
    fn what_is_past_the_span_makes_room_first() {
        let mut known = Known::default();
        for n in 0..16 {
            known.see(value(n), 0, 10_000, 16);
        }
        assert_eq!(known.see(value(99), 10_000, 10_000, 16).forgotten, 0);
        assert_eq!(known.len(), 1);
    }

    #[test]
    fn a_flood_of_new_values_stays_within_its_bound() {
        let mut known = Known::default();
        for n in 0..100_000u64 {
            let fingerprint = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            known.see(fingerprint, 1000, 1_000_000, 1024);
            assert!(known.len() <= 1024);
        }
        assert!(known.heap() <= 2048 * 8);
    }
}
