//! What fires because something did not come: a stream's next event, a chain's next step.

use super::Item;
use super::window::{Opened, held};
use crate::fact::Fact;

/// Every silence longer than the span of a key that came `count_min` times within `warmup` up to it.
pub fn silences<'a>(
    items: &[Item<'a>],
    span: i64,
    suppress: i64,
    (count_min, warmup): (usize, i64),
) -> Vec<Opened<'a>> {
    let mut opened = Vec::new();
    // When the key last came back to an episode.
    let mut back: Option<i64> = None;
    for (at, last) in items.iter().enumerate() {
        let usual = |i: &&Item<'_>| i.time > last.time - warmup;
        let expected = items[..=at].iter().filter(usual).count() >= count_min;
        let next = items.get(at + 1).map(|i| i.time);
        let deadline = last.time + span;
        // An event at the deadline itself breaks the silence.
        if !expected || next.is_some_and(|next| next <= deadline) {
            continue;
        }
        let held = suppress > 0 && back.is_some_and(|back| deadline - back <= suppress);
        opened.push((deadline, last.fact, !held));
        back = next;
    }
    opened
}

/// A chain that waits for a step.
struct Chain<'a> {
    next: usize,
    due: i64,
    fact: &'a Fact,
}

/// Every chain at the first deadline that its next step missed.
pub fn missed<'a>(items: &[Item<'a>], suppress: i64, within: &[i64]) -> Vec<Opened<'a>> {
    let (mut chains, mut detected): (Vec<Chain<'a>>, Vec<(i64, &Fact)>) = Default::default();
    for item in items {
        let over = chains.extract_if(.., |c| c.due < item.time);
        detected.extend(over.map(|c| (c.due, c.fact)));
        let waiting = |c: &Chain<'_>| item.inputs & (1 << c.next) != 0;
        // The oldest one first: chains stand in the order in which they began.
        // One item serves one step: what goes on with a chain begins none.
        if let Some(at) = chains.iter().position(waiting) {
            let chain = &mut chains[at];
            match within.get(chain.next) {
                Some(time) => (chain.next, chain.due) = (chain.next + 1, item.time + time),
                None => drop(chains.remove(at)),
            }
        } else if item.inputs & 1 != 0 {
            let due = item.time + within[0];
            let (next, fact) = (1, item.fact);
            chains.push(Chain { next, due, fact });
        }
    }
    detected.extend(chains.into_iter().map(|c| (c.due, c.fact)));
    detected.sort_by_key(|(due, _)| *due);
    held(detected, suppress)
}
