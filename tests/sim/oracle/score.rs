//! Evidence that adds up and fades: what counted within the span, each halved with its age.
//!
//! Crossing is an item's doing; where the score falls is searched for, millisecond by millisecond
//! in halves.

use super::Item;
use super::window::Opened;

/// What evidence is worth. Its input is its place here, one later with `after`, which is input 0.
#[derive(Clone, Copy)]
pub struct Weights {
    pub after: bool,
    pub weights: &'static [f64],
    /// It counts again so long after it last counted.
    pub once: i64,
    pub half_life: Option<i64>,
    pub bound: f64,
}

/// Evidence that counts: its time and its weight.
type Counted = Vec<(i64, f64)>;

impl Weights {
    fn score(&self, counted: &Counted, span: i64, now: i64) -> f64 {
        let live = counted.iter().filter(|(t, _)| *t > now - span && *t <= now);
        #[expect(clippy::cast_precision_loss, reason = "spans of minutes")]
        let left = |age: i64| match self.half_life {
            Some(half) => 0.5_f64.powf(age as f64 / half as f64),
            None => 1.0,
        };
        live.map(|(t, weight)| weight * left(now - t)).sum()
    }

    fn counted(&self, items: &[Item<'_>], span: i64) -> Counted {
        let mut all: Vec<(i64, usize)> = Vec::new();
        let offset = usize::from(self.after);
        for (at, item) in items.iter().enumerate() {
            let precedes = |a: &Item<'_>| a.inputs & 1 != 0 && a.time > item.time - span;
            if self.after && !items[..at].iter().any(precedes) {
                continue;
            }
            for n in 0..self.weights.len() {
                let again = all
                    .iter()
                    .any(|(t, which)| *which == n && item.time - t < self.once);
                if item.inputs & (1 << (n + offset)) != 0 && !again {
                    all.push((item.time, n));
                }
            }
        }
        all.into_iter().map(|(t, n)| (t, self.weights[n])).collect()
    }
}

pub fn openings<'a>(
    items: &[Item<'a>],
    span: i64,
    suppress: i64,
    weights: Weights,
) -> Vec<Opened<'a>> {
    let counted = weights.counted(items, span);
    let holds = |now: i64, last: i64| {
        let upto: Counted = counted
            .iter()
            .filter(|(t, _)| *t <= last)
            .copied()
            .collect();
        weights.score(&upto, span, now) >= weights.bound
    };
    let (mut above, mut held_until): (bool, Option<i64>) = (false, None);
    let mut opened = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let now = item.time;
        if !above && holds(now, now) {
            let held = held_until.is_some_and(|until| now - until <= suppress);
            if !held {
                opened.push((now, item.fact, true));
            }
            above = true;
        }
        let next = items.get(at + 1).map_or(now + span + 1, |i| i.time);
        if above && let Some(fall) = fall(now, next, &counted, span, |t| holds(t, now)) {
            (above, held_until) = (false, Some(fall));
        }
    }
    opened
}

/// The first moment in `from..to` at which it no longer holds. Between two that leave the window it
/// only falls.
fn fall(
    from: i64,
    to: i64,
    counted: &Counted,
    span: i64,
    holds: impl Fn(i64) -> bool,
) -> Option<i64> {
    let mut edges: Vec<i64> = counted.iter().map(|(t, _)| t + span).collect();
    edges.retain(|t| *t > from && *t < to);
    edges.extend([from, to]);
    edges.sort_unstable();
    for pair in edges.windows(2) {
        let (mut low, mut high) = (pair[0], pair[1] - 1);
        if !holds(low) {
            return Some(low);
        }
        if high <= low || holds(high) {
            continue;
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if holds(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        return Some(high);
    }
    None
}
