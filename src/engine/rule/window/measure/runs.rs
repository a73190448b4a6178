//! The runs test: how improbable it is that values in no order turn so seldom, or so often.
//!
//! Owns the probability. Of n different values in random order, the number of runs up and down is
//! close to normal with mean (2n - 1) / 3 and variance (16n - 29) / 90. A walk has one run; two walks
//! that take turns have nearly as many as there are steps. Both are improbable.

use statrs::function::erf::erfc;

/// Below so many values the normal form is too coarse, and nothing is said.
const VALUES_MIN: usize = 10;
/// As improbable as is told.
const TAIL_MAX: f64 = 99.0;

/// -log10 of the probability of a number of turns as far from the usual as this one; 0 for few steps.
#[expect(clippy::cast_precision_loss, reason = "a few hundred steps")]
pub(super) fn tail(steps: usize, turns: usize) -> f64 {
    let (values, runs) = (steps + 1, turns + 1);
    if values < VALUES_MIN {
        return 0.0;
    }
    let n = values as f64;
    let usual = (2.0 * n - 1.0) / 3.0;
    let deviation = ((16.0 * n - 29.0) / 90.0).sqrt();
    let p = erfc((runs as f64 - usual).abs() / deviation / std::f64::consts::SQRT_2);
    let tail = if p > 0.0 { -p.log10() } else { TAIL_MAX };
    (tail.clamp(0.0, TAIL_MAX) * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against counting: all orders of eight values and their runs. (The bound on values is for use.)
    #[test]
    fn mean_and_variance_are_those_of_all_orders() {
        let mut orders: Vec<Vec<u8>> = vec![vec![0]];
        for next in 1..8 {
            let insert = |o: &Vec<u8>| -> Vec<Vec<u8>> {
                let at = |i| {
                    let mut longer = o.clone();
                    longer.insert(i, next);
                    longer
                };
                (0..=o.len()).map(at).collect()
            };
            orders = orders.iter().flat_map(insert).collect();
        }
        let runs = |o: &Vec<u8>| {
            let turns = o.windows(3).filter(|w| (w[1] > w[0]) != (w[2] > w[1]));
            f64::from(u32::try_from(turns.count()).unwrap() + 1)
        };
        let count = f64::from(u32::try_from(orders.len()).unwrap());
        let mean = orders.iter().map(runs).sum::<f64>() / count;
        let square = orders.iter().map(|o| runs(o).powi(2)).sum::<f64>() / count;
        assert!((mean - 15.0 / 3.0).abs() < 1e-9, "{mean}");
        assert!((square - mean * mean - 99.0 / 90.0).abs() < 1e-9);
    }

    #[test]
    fn walks_are_improbable_and_crowds_are_not() {
        assert!(tail(49, 0) > 20.0);
        assert!(tail(49, 48) > 6.0, "two walks that take turns");
        assert!(tail(49, 33) < 0.5);
        assert!(tail(255, 0) <= TAIL_MAX);
        assert!(tail(8, 0) < 0.01, "too few to say");
    }
}
