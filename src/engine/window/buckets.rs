//! A sliding count in 64 buckets: flat memory and cost for any rate, at a time resolution of 1/64
//! of the window. For bounds beyond the exact range and for what an open episode counts.

use serde::{Deserialize, Serialize};

const BUCKETS: usize = 64;

/// Counts per 1/64 of the span.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Buckets {
    counts: Vec<u32>,
    /// Number of the newest bucket.
    head: i64,
    total: u64,
    width: i64,
}

impl Buckets {
    /// The largest relative error in time: one bucket of the window.
    pub const RESOLUTION: f64 = 1.0 / BUCKETS as f64;

    /// Bytes on the heap.
    pub const HEAP: usize = BUCKETS * size_of::<u32>();

    #[must_use]
    pub fn new(span: i64) -> Self {
        Self {
            counts: vec![0; BUCKETS],
            head: i64::MIN,
            total: 0,
            width: (span / BUCKETS as i64).max(1),
        }
    }

    fn place(number: i64) -> usize {
        usize::try_from(number.rem_euclid(BUCKETS as i64)).unwrap_or(0)
    }

    fn turn(&mut self, time: i64) -> i64 {
        let number = time.div_euclid(self.width);
        if self.head == i64::MIN {
            self.head = number;
        }
        if number > self.head {
            for n in (self.head + 1..=number).take(BUCKETS) {
                let count = &mut self.counts[Self::place(n)];
                self.total -= u64::from(*count);
                *count = 0;
            }
            if number - self.head > BUCKETS as i64 {
                self.counts.fill(0);
                self.total = 0;
            }
            self.head = number;
        }
        number
    }

    /// Adds `n` events at `time`; older than the window is ignored.
    pub fn add(&mut self, time: i64, n: u32) {
        let number = self.turn(time);
        if self.head - number < BUCKETS as i64 {
            let count = &mut self.counts[Self::place(number)];
            *count = count.saturating_add(n);
            self.total += u64::from(n);
        }
    }

    /// The count over the window that ends with the newest bucket.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The count over the window that ends with the bucket of `now`, also long after the newest.
    #[must_use]
    pub fn count(&self, now: i64) -> u64 {
        let from = now.div_euclid(self.width) - BUCKETS as i64;
        let gone = (self.head - BUCKETS as i64 + 1..=self.head)
            .take_while(|number| *number <= from)
            .map(|number| u64::from(self.counts[Self::place(number)]));
        self.total - gone.sum::<u64>()
    }

    /// Until when (exclusive) the count stays at `n` or more if nothing comes: the end of the
    /// bucket whose leaving takes it below.
    #[must_use]
    pub fn holds_until(&self, n: u64) -> i64 {
        let mut left = self.total;
        for number in self.head - BUCKETS as i64 + 1..=self.head {
            left -= u64::from(self.counts[Self::place(number)]);
            if left < n {
                return (number + BUCKETS as i64) * self.width;
            }
        }
        i64::MAX / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slides() {
        let mut b = Buckets::new(6400);
        for t in 0..100 {
            b.add(t * 100, 1);
        }
        assert_eq!(b.total(), 64);
        assert_eq!(b.holds_until(64), 10_000);
        b.add(1_000_000, 5);
        assert_eq!(b.total(), 5);
        b.add(10, 5);
        assert_eq!(b.total(), 5, "older than the window");
    }
}
