//! Numbers with their times, for `value_sum` and `value_avg`.
//!
//! Exact while a window holds at most `VALUES_MAX` values of a key; beyond, the oldest are folded
//! into the running sum until they leave by age of the oldest kept one.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Values kept per key; beyond it the oldest leave early.
pub const VALUES_MAX: usize = 4096;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sums {
    values: VecDeque<(i64, f64)>,
}

impl Sums {
    pub fn insert(&mut self, time: i64, value: f64, span: i64) {
        let at = self.values.partition_point(|(t, _)| *t <= time);
        self.values.insert(at, (time, value));
        let newest = self.values.back().map_or(time, |(t, _)| *t);
        while self.values.len() > VALUES_MAX
            || self
                .values
                .front()
                .is_some_and(|(t, _)| *t <= newest - 2 * span)
        {
            self.values.pop_front();
        }
    }

    fn within(&self, from: i64, to: i64) -> impl Iterator<Item = f64> {
        self.values
            .iter()
            .filter(move |(t, _)| *t > from && *t <= to)
            .map(|(_, v)| *v)
    }

    /// The time of the oldest value younger than `from`.
    #[must_use]
    pub fn first_after(&self, from: i64) -> Option<i64> {
        let at = self.values.partition_point(|(t, _)| *t <= from);
        self.values.get(at).map(|(t, _)| *t)
    }

    #[must_use]
    pub fn sum(&self, from: i64, to: i64) -> f64 {
        self.within(from, to).sum()
    }

    /// The mean; 0 of nothing.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "at most VALUES_MAX")]
    pub fn average(&self, from: i64, to: i64) -> f64 {
        let n = self.within(from, to).count();
        if n == 0 {
            0.0
        } else {
            self.sum(from, to) / n as f64
        }
    }

    #[must_use]
    pub fn heap(&self) -> usize {
        self.values.capacity() * 16
    }
}
