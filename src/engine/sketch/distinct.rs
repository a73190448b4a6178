//! Distinct values of one key in `(t - span, t]`, and the share of them seen exactly once.
//!
//! Exact up to `EXACT_MAX` values by keeping each value's latest two times; beyond, a `Ring`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ring::Ring;

/// Distinct values counted exactly per key.
pub const EXACT_MAX: usize = 128;

/// A value and its latest two times; `i64::MIN` where there is none.
#[derive(Clone, Copy, Debug)]
struct Seen {
    value: u64,
    latest: i64,
    earlier: i64,
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub struct Distinct {
    few: Vec<Seen>,
    ring: Option<Box<Ring>>,
}

/// Stored column by column: values, latest times, earlier times, and the ring.
impl Serialize for Distinct {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let values = Column(&self.few, |seen| seen.value);
        let latest = Column(&self.few, |seen| seen.latest);
        let earlier = Column(&self.few, |seen| seen.earlier);
        (values, latest, earlier, &self.ring).serialize(s)
    }
}

/// A list made of one part of each value, while it is written.
struct Column<'a, T>(&'a [Seen], fn(&Seen) -> T);

impl<T: Serialize> Serialize for Column<'_, T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(self.1))
    }
}

type Columns = (Vec<u64>, Vec<i64>, Vec<i64>, Option<Box<Ring>>);

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let (values, latest, earlier, ring) = Columns::deserialize(d)?;
        let columns = values.into_iter().zip(latest).zip(earlier);
        let few = columns.map(|((value, latest), earlier)| Seen {
            value,
            latest,
            earlier,
        });
        Ok(Self {
            few: few.collect(),
            ring,
        })
    }
}

impl Distinct {
    pub fn insert(&mut self, value: u64, time: i64, span: i64) {
        if let Some(ring) = &mut self.ring {
            ring.insert(value, time);
            return;
        }
        if let Some(seen) = self.few.iter_mut().find(|s| s.value == value) {
            seen.earlier = seen.earlier.max(seen.latest.min(time));
            seen.latest = seen.latest.max(time);
            return;
        }
        if self.few.len() == EXACT_MAX {
            self.few.retain(|s| s.latest > time - 2 * span);
        }
        if self.few.len() < EXACT_MAX {
            self.few.push(Seen {
                value,
                latest: time,
                earlier: i64::MIN,
            });
            return;
        }
        let mut ring = Box::new(Ring::new(span));
        self.few.sort_by_key(|s| s.latest);
        for seen in self.few.drain(..) {
            if seen.earlier != i64::MIN {
                ring.insert(seen.value, seen.earlier);
            }
            ring.insert(seen.value, seen.latest);
        }
        ring.insert(value, time);
        *self = Self {
            ring: Some(ring),
            ..Self::default()
        };
    }

    /// Event time has come to `time`, so that `count` tells of the window that ends there.
    pub fn pass(&mut self, time: i64) {
        if let Some(ring) = &mut self.ring {
            ring.pass(time);
        }
    }

    /// Distinct values in `(from, to]`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "at most EXACT_MAX")]
    pub fn count(&self, from: i64) -> f64 {
        match &self.ring {
            Some(ring) => ring.distinct(),
            None => self.few.iter().filter(|s| s.latest > from).count() as f64,
        }
    }

    /// Share of the distinct values since `from` that were seen once; 0 of nothing.
    #[must_use]
    pub fn once_share(&self, from: i64) -> f64 {
        match &self.ring {
            Some(ring) => ring.once_share(from),
            None => {
                let (mut all, mut once) = (0u32, 0u32);
                for seen in &self.few {
                    all += u32::from(seen.latest > from);
                    once += u32::from(seen.latest > from && seen.earlier <= from);
                }
                if all == 0 {
                    0.0
                } else {
                    f64::from(once) / f64::from(all)
                }
            }
        }
    }

    /// The oldest time younger than `from` at which a value was seen last or next to last; none once
    /// values are estimated.
    #[must_use]
    pub fn first_after(&self, from: i64) -> Option<i64> {
        let times = self.few.iter().flat_map(|s| [s.latest, s.earlier]);
        times.filter(|t| *t > from).min()
    }

    /// Until when (exclusive) at least `n` distinct values stay in the window if nothing comes.
    #[must_use]
    pub fn holds_until(&self, n: usize, span: i64) -> i64 {
        match &self.ring {
            Some(ring) => ring.holds_until(),
            None => {
                let mut times: Vec<i64> = self.few.iter().map(|s| s.latest).collect();
                let Some(at) = times.len().checked_sub(n) else {
                    return i64::MIN;
                };
                if n == 0 {
                    return i64::MAX / 4;
                }
                let (_, nth, _) = times.select_nth_unstable(at);
                nth.saturating_add(span)
            }
        }
    }

    /// Relative standard error of `count`; `None` while exact.
    #[must_use]
    pub fn error(&self) -> Option<f64> {
        self.ring.as_ref().map(|_| Ring::ERROR)
    }

    #[must_use]
    pub fn heap(&self) -> usize {
        self.few.capacity() * size_of::<Seen>() + self.ring.as_ref().map_or(0, |r| r.heap())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HashKey;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn small_counts_are_exact(events in prop::collection::vec((0u64..40, 0i64..300), 1..200), span in 1i64..200) {
            let mut d = Distinct::default();
            for (v, t) in &events { d.insert(*v, *t, span); }
            let now = events.iter().map(|(_, t)| *t).max().unwrap();
            let mut seen: BTreeMap<u64, u32> = BTreeMap::new();
            for (v, t) in &events { if *t > now - span { *seen.entry(*v).or_default() += 1; } }
            prop_assert_eq!(d.count(now - span), seen.len() as f64);
            let once = seen.values().filter(|n| **n == 1).count() as f64 / seen.len() as f64;
            prop_assert!((d.once_share(now - span) - once).abs() < 1e-9);
        }
    }

    #[test]
    fn large_counts_are_within_three_sigma() {
        let key = HashKey::fixed();
        for n in [200u64, 1_000, 5_000, 50_000] {
            let mut d = Distinct::default();
            for i in 0..n {
                let value = key.fingerprint(&i.to_le_bytes()).0;
                d.insert(value, 1_000_000 + i64::try_from(i * 500 / n).unwrap(), 1000);
            }
            let got = d.count(0);
            let off = (got - n as f64).abs() / n as f64;
            assert!(off < 3.0 * Ring::ERROR, "{n}: {got}");
            assert!(d.once_share(0) > 0.9);
        }
    }

    #[test]
    fn repeats_are_not_new() {
        let mut d = Distinct::default();
        for i in 0..10_000 {
            d.insert(i % 7, i64::try_from(i).unwrap(), 100_000);
        }
        assert!((d.count(-1) - 7.0).abs() < 1e-9);
        assert!(d.once_share(-1) < 1e-9);
    }
}
