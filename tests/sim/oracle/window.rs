//! Laws over a sliding window `(t - span, t]`: evaluated after every item and at every moment at
//! which one leaves.
//!
//! Fires on crossing; then one episode until the value falls below, `suppress` longer. What builds on
//! it sees every crossing, also those that `suppress` keeps from people.

use super::Item;
use crate::fact::Fact;

/// A detection: when, on which fact, and whether it opens an alert of its own.
pub type Opened<'a> = (i64, &'a Fact, bool);

pub fn openings<'a>(
    items: &[Item<'a>],
    span: i64,
    suppress: i64,
    holds: fn(&[Item<'_>]) -> bool,
) -> (Vec<Opened<'a>>, Vec<(i64, &'a Fact)>) {
    let mut moments: Vec<i64> = items.iter().flat_map(|i| [i.time, i.time + span]).collect();
    moments.sort_unstable();
    moments.dedup();
    let (mut opened, mut present) = (Vec::new(), Vec::new());
    // Of the episode: whether the bound holds now, and until when it held.
    let (mut above, mut held_until): (bool, Option<i64>) = (false, None);
    for now in moments {
        let mut window: Vec<Item<'a>> = items
            .iter()
            .filter(|i| i.time > now - span && i.time < now)
            .copied()
            .collect();
        let arriving: Vec<Item<'a>> = items.iter().filter(|i| i.time == now).copied().collect();
        for item in &arriving {
            window.push(*item);
            if !holds(&window) {
                continue;
            }
            present.push((now, item.fact));
            if !above {
                let held = held_until.is_some_and(|until| now - until <= suppress);
                opened.push((now, item.fact, !held));
                above = true;
            }
        }
        // Only an item takes the value across its bound; time alone can only take it below.
        if above && !holds(&window) {
            above = false;
            held_until = Some(now);
        }
    }
    (opened, present)
}

/// Detections that are over as they are made: each opens, unless the last one is at most `suppress` ago.
pub fn held<'a>(detected: Vec<(i64, &'a Fact)>, suppress: i64) -> Vec<Opened<'a>> {
    let mut last: Option<i64> = None;
    let opens = |(time, fact): (i64, &'a Fact)| {
        let before = last.replace(time);
        let held = suppress > 0 && before.is_some_and(|before| time - before <= suppress);
        (time, fact, !held)
    };
    detected.into_iter().map(opens).collect()
}
