//! A sliding HyperLogLog: one register array per slot of the window and their running union.
//!
//! Registers follow Flajolet et al. 2007; the estimate is Ertl's improved raw estimator
//! ("New cardinality estimation algorithms for HyperLogLog sketches", 2017, section 4), which
//! needs no bias tables. The union is rebuilt only when a slot turns, so an insert is O(1).

use serde::{Deserialize, Serialize};

const PRECISION: u32 = 10;
const REGISTERS: usize = 1 << PRECISION;
const SLOTS: i64 = 16;
/// Ranks go from 0 (empty) to 64 - PRECISION + 1.
const RANKS: usize = 64 - PRECISION as usize + 2;

/// Register values of one set.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Registers(Vec<u8>);

impl Registers {
    fn new() -> Self {
        Self(vec![0; REGISTERS])
    }

    /// Raises the value's register; returns whether that changed anything.
    fn insert(&mut self, value: u64) -> bool {
        let (at, rank) = place(value);
        let register = &mut self.0[at];
        let raised = rank > *register;
        if raised {
            *register = rank;
        }
        raised
    }

    fn merge(&mut self, other: &Self) {
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            *a = (*a).max(*b);
        }
    }

    fn estimate(&self) -> f64 {
        let mut histogram = [0u32; RANKS];
        for rank in &self.0 {
            histogram[usize::from(*rank)] += 1;
        }
        estimate(&histogram)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rank is at most 55")]
fn place(value: u64) -> (usize, u8) {
    let at = (value >> (64 - PRECISION)) as usize;
    let rank = ((value << PRECISION) | (1 << (PRECISION - 1))).leading_zeros() + 1;
    (at, rank as u8)
}

/// Ertl 2017, algorithm 6.
fn estimate(histogram: &[u32; RANKS]) -> f64 {
    let m = REGISTERS as f64;
    let mut z = m * tau(1.0 - f64::from(histogram[RANKS - 1]) / m);
    for count in histogram[1..RANKS - 1].iter().rev() {
        z = 0.5 * (z + f64::from(*count));
    }
    z += m * sigma(f64::from(histogram[0]) / m);
    m * m / (2.0 * std::f64::consts::LN_2) / z
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if (z - before).abs() < f64::EPSILON * z.abs() || x == 0.0 {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if (z - before).abs() < f64::EPSILON * z.abs() {
            return z / 3.0;
        }
    }
}

/// One value in 256 of the hash space, followed exactly: is it seen once, or again?
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Sample {
    value: u64,
    latest: i64,
    earlier: i64,
}

const SAMPLES: usize = 256;
const NONE: Sample = Sample {
    value: 0,
    latest: i64::MIN,
    earlier: i64::MIN,
};

/// Distinct values over the last 16 slots, and a sample of them for the share seen once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ring {
    span: i64,
    head: i64,
    slots: Vec<Registers>,
    union: Registers,
    distinct: f64,
    /// Per class of values the one with the greatest fingerprint: a uniform sample of the values.
    samples: Vec<Sample>,
}

impl Ring {
    /// 1.04 / sqrt(1024).
    pub const ERROR: f64 = 0.0325;

    #[must_use]
    pub fn new(span: i64) -> Self {
        Self {
            span,
            head: i64::MIN,
            slots: (0..SLOTS).map(|_| Registers::new()).collect(),
            union: Registers::new(),
            distinct: 0.0,
            samples: vec![NONE; SAMPLES],
        }
    }

    const fn width(&self) -> i64 {
        if self.span < SLOTS {
            1
        } else {
            self.span / SLOTS
        }
    }

    fn slot(number: i64) -> usize {
        usize::try_from(number.rem_euclid(SLOTS)).unwrap_or(0)
    }

    pub fn insert(&mut self, value: u64, time: i64) {
        let number = time.div_euclid(self.width());
        if self.head == i64::MIN {
            self.head = number;
        }
        if number > self.head {
            self.turn(number);
        }
        if self.head - number >= SLOTS {
            return;
        }
        self.slots[Self::slot(number)].insert(value);
        if self.union.insert(value) {
            self.distinct = self.union.estimate();
        }
        let class = usize::try_from(value % SAMPLES as u64).unwrap_or(0);
        self.samples[class].follow(value, time, self.span);
    }

    /// Event time has come to `time`: slots that have left the window are empty.
    pub fn pass(&mut self, time: i64) {
        let number = time.div_euclid(self.width());
        if number > self.head {
            self.turn(number);
        }
    }

    fn turn(&mut self, number: i64) {
        for n in (self.head + 1..=number).take(usize::try_from(SLOTS).unwrap_or(0)) {
            self.slots[Self::slot(n)].0.fill(0);
        }
        if number - self.head > SLOTS {
            for slot in &mut self.slots {
                slot.0.fill(0);
            }
        }
        self.head = number;
        self.union.0.fill(0);
        for slot in &self.slots {
            self.union.merge(slot);
        }
        self.distinct = self.union.estimate();
    }

    #[must_use]
    pub const fn distinct(&self) -> f64 {
        self.distinct.round()
    }

    /// The share of the sampled values since `from` that were seen once.
    #[must_use]
    pub fn once_share(&self, from: i64) -> f64 {
        let (mut all, mut once) = (0u32, 0u32);
        for sample in &self.samples {
            all += u32::from(sample.latest > from);
            once += u32::from(sample.latest > from && sample.earlier <= from);
        }
        if all == 0 {
            0.0
        } else {
            f64::from(once) / f64::from(all)
        }
    }

    /// The next slot turn, when the estimate may fall.
    #[must_use]
    pub const fn holds_until(&self) -> i64 {
        (self.head + SLOTS) * self.width()
    }

    #[must_use]
    pub fn heap(&self) -> usize {
        (usize::try_from(SLOTS).unwrap_or(0) + 1) * REGISTERS + SAMPLES * size_of::<Sample>()
    }
}

impl Sample {
    fn follow(&mut self, value: u64, time: i64, span: i64) {
        if self.value == value {
            self.earlier = self.earlier.max(self.latest.min(time));
            self.latest = self.latest.max(time);
        } else if value > self.value || self.latest <= time - span {
            *self = Self {
                value,
                latest: time,
                earlier: i64::MIN,
            };
        }
    }
}
