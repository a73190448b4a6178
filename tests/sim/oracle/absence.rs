//! What did not follow: every `after` (input 0) without an `expect` (input 1) within the span, or
//! within `lookback` before it, is detected at its deadline.

use super::Item;
use super::window::Opened;
use crate::fact::Fact;

/// The detections, and every `after` at its deadline.
pub fn openings<'a>(
    items: &[Item<'a>],
    span: i64,
    suppress: i64,
    lookback: i64,
) -> (Vec<Opened<'a>>, Vec<(i64, &'a Fact)>) {
    let (mut opened, mut settled) = (Vec::new(), Vec::new());
    let mut held_until: Option<i64> = None;
    for (place, after) in items.iter().enumerate().filter(|(_, i)| i.inputs & 1 != 0) {
        let deadline = after.time + span;
        let answers = |(at, i): (usize, &Item<'_>)| {
            let follows = at > place && i.time <= deadline;
            let precedes = at < place && lookback > 0 && i.time >= after.time - lookback;
            i.inputs & 2 != 0 && (follows || precedes)
        };
        settled.push((deadline, after.fact));
        if items.iter().enumerate().any(answers) {
            continue;
        }
        let held = suppress > 0 && held_until.is_some_and(|until| deadline - until <= suppress);
        opened.push((deadline, after.fact, !held));
        held_until = Some(deadline);
    }
    (opened, settled)
}
