//! All randomness of a run: numbers from a seed, in streams that do not disturb each other.
//!
//! Owns no state but its own. Invariant: the same seed and stream give the same numbers for ever.

/// One stream of numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream called `name` of a run.
    pub fn new(seed: u64, name: &str) -> Self {
        let start = name.bytes().fold(seed ^ 0x5851_f42d_4c95_7f2d, |n, b| {
            mix(n.wrapping_add(u64::from(b)))
        });
        Self(mix(start))
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number in `low..high`; `low` if that is empty.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high - low).unwrap_or(0).max(1);
        low + i64::try_from(self.bits() % width).unwrap()
    }

    /// True in `per_mille` of 1,000 calls.
    pub fn chance(&mut self, per_mille: i64) -> bool {
        self.between(0, 1000) < per_mille
    }

    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[usize::try_from(self.between(0, i64::try_from(list.len()).unwrap())).unwrap()]
    }
}

fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
