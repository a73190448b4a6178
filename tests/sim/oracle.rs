//! The second opinion: which detector must open an alert for which key at which event time.
//!
//! Slow and exact: the whole history is kept, sets are sets, and every value is computed anew from
//! its definition (docs/language.md, "How time counts"). Shares no code with the engine.
//! Invariant: it sees facts and laws only, never what the engine did.

mod absence;
mod first;
pub mod laws;
mod score;
mod unsure;
mod waits;
mod window;

use std::collections::{BTreeMap, BTreeSet};

use crate::fact::Fact;
use laws::{Law, Meaning, Stream};
pub use unsure::{Doubt, Unsure, unsure};

/// An alert that must open: detector, key as `field=value` texts, event time.
pub type Opening = (String, String, i64);

/// Something a law sees: a fact, or a detection of another law with the fact it stands on.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    pub time: i64,
    /// Bit i: it belongs to input i of the law. One item serves one step.
    pub inputs: u8,
    pub fact: &'a Fact,
}

/// What laws find: where they must open, and what later laws see of it.
#[derive(Debug, Default)]
struct Found<'a> {
    detections: Vec<(i64, &'a Fact)>,
    /// Items at which the law held, whether or not it had before.
    present: Vec<(i64, &'a Fact)>,
    /// Absences: every `after` at its deadline, answered or not.
    settled: Vec<(i64, &'a Fact)>,
    openings: Vec<Opening>,
}

/// All openings of the own detectors over these facts, of which some came too late for windows, until event
/// time `until`.
pub fn openings(facts: &[Fact], late: &BTreeSet<u64>, until: i64) -> BTreeSet<Opening> {
    let mut sorted: Vec<&Fact> = facts.iter().collect();
    // Stable: equal times are in order of arrival.
    sorted.sort_by_key(|f| f.time);
    let mut found: BTreeMap<&str, Found<'_>> = BTreeMap::new();
    let mut all = BTreeSet::new();
    for law in laws::LAWS.iter().chain(laws::newer::LAWS) {
        let seen = |f: &&&Fact| law.late || !late.contains(&f.id);
        let sorted: Vec<&Fact> = sorted.iter().filter(seen).copied().collect();
        let items = items(law, &sorted, &found);
        let result = judge(law, items);
        if law.alerts {
            let due = result.openings.iter().filter(|o| o.2 < until);
            all.extend(due.cloned());
        }
        found.insert(law.name, result);
    }
    all
}

fn items<'a>(law: &Law, facts: &[&'a Fact], found: &BTreeMap<&str, Found<'a>>) -> Vec<Item<'a>> {
    let mut items: Vec<Item<'a>> = Vec::new();
    let mut add = |time: i64, input: usize, fact: &'a Fact| {
        let same = |i: &&mut Item<'_>| i.time == time && std::ptr::eq(i.fact, fact);
        match items
            .iter_mut()
            .rev()
            .take_while(|i| i.time == time)
            .find(same)
        {
            Some(item) => item.inputs |= 1 << input,
            None => items.push(Item {
                time,
                inputs: 1 << input,
                fact,
            }),
        }
    };
    let events = |s: &Stream| matches!(s, Stream::Events(_));
    for fact in facts {
        for (n, stream) in law.inputs.iter().enumerate().filter(|(_, s)| events(s)) {
            if let Stream::Events(takes) = stream
                && takes(fact)
            {
                add(fact.time, n, fact);
            }
        }
    }
    for (n, stream) in law.inputs.iter().enumerate() {
        let detections = match stream {
            Stream::Events(_) => continue,
            Stream::Of(name) => &found[name].detections,
            Stream::While(name) => &found[name].present,
            Stream::Settled(name) => &found[name].settled,
        };
        for (time, fact) in detections {
            // Of an absence, what is unanswered is settled at the same moment: one item, two inputs.
            let same = |i: &&mut Item<'_>| i.time == *time && std::ptr::eq(i.fact, *fact);
            match items.iter_mut().find(same) {
                Some(item) if !law.inputs.iter().any(events) => item.inputs |= 1 << n,
                _ => items.push(Item {
                    time: *time,
                    inputs: 1 << n,
                    fact,
                }),
            }
        }
    }
    items.sort_by_key(|i| i.time);
    items
}

fn judge<'a>(law: &Law, items: Vec<Item<'a>>) -> Found<'a> {
    let mut by_key: BTreeMap<String, Vec<Item<'a>>> = BTreeMap::new();
    for item in items {
        if let Some(key) = key_of(law, item.fact) {
            by_key.entry(key).or_default().push(item);
        }
    }
    let mut found = Found::default();
    for (key, items) in by_key {
        let opened = match law.meaning {
            Meaning::Holds(holds) => {
                let (opened, present) = window::openings(&items, law.span, law.suppress, holds);
                found.present.extend(present);
                opened
            }
            Meaning::Each => {
                let all = items.iter().map(|i| (i.time, i.fact)).collect();
                window::held(all, law.suppress)
            }
            Meaning::First(first) => first::openings(&items, law.span, law.suppress, first),
            Meaning::Score(weights) => score::openings(&items, law.span, law.suppress, weights),
            Meaning::Quiet(usual) => waits::silences(&items, law.span, law.suppress, usual),
            Meaning::Chain(within) => waits::missed(&items, law.suppress, within),
            Meaning::Estimate => unreachable!("{} has no law", law.name),
            Meaning::Absence { lookback } => {
                let (opened, settled) = absence::openings(&items, law.span, law.suppress, lookback);
                found.settled.extend(settled);
                opened
            }
        };
        for (time, fact, opens) in opened {
            found.detections.push((time, fact));
            if opens {
                found
                    .openings
                    .push((law.name.to_owned(), key.clone(), time));
            }
        }
    }
    found.detections.sort_by_key(|(time, _)| *time);
    found.present.sort_by_key(|(time, _)| *time);
    found.settled.sort_by_key(|(time, _)| *time);
    found
}

/// The group of a fact; none if a field is missing.
pub fn key_of(law: &Law, fact: &Fact) -> Option<String> {
    let parts: Option<Vec<String>> = law
        .group_by
        .iter()
        .map(|f| fact.get(f).map(|v| format!("{f}={v}")))
        .collect();
    Some(parts?.join(","))
}
