//! One event that meets several inputs of a rule: where it stands among its own observations.
//!
//! A rule that does not tell its inputs apart gets one observation of it; any other one gets all, the
//! later inputs first, and each knows whether one of the same event stands before or behind it.

use std::cmp::Reverse;

use super::{AGAIN, FOLLOWED, Observation};
use crate::engine::program::Program;

/// Puts the observations of one event, those from `first` on, in order.
pub(super) fn order(program: &Program, all: &mut Vec<Observation>, first: usize) {
    match all.get_mut(first..) {
        // One event may serve two steps of a rule: the later step sees it first.
        Some(own) if own.len() > 1 => own.sort_by_key(|o| (o.rule, Reverse(o.input))),
        _ => return,
    }
    let mut kept = first + 1;
    for at in first + 1..all.len() {
        let (mut o, before) = (all[at], all[kept - 1]);
        if (before.rule, before.key) == (o.rule, o.key) {
            let spec = program.specs.get(usize::from(o.rule));
            if spec.is_some_and(|s| s.pools) {
                continue;
            }
            all[kept - 1].present |= FOLLOWED;
            o.present |= AGAIN;
        }
        all[kept] = o;
        kept += 1;
    }
    all.truncate(kept);
}
