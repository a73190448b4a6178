//! What no law can say: the keys that an event has touched of which it is not sure whether it counts,
//! or when.
//!
//! Owns how such doubt spreads: from a fact to its key from its time on, and from there to every law that
//! builds on that one. Rather too far than not far enough.

use std::collections::{BTreeMap, BTreeSet};

use super::laws::{self, Law, Meaning, Stream};
use super::{Opening, key_of};
use crate::fact::Fact;

/// An event may arrive so long before one that is older: what is told shortly before a doubtful one is in doubt.
const DISORDER: i64 = 300_000;

/// What is known of how a run took its input. Facts are named by their ids.
#[derive(Clone, Debug, Default)]
pub struct Doubt {
    /// They come later than windows wait, as a rule.
    pub late: BTreeSet<u64>,
    /// Late ones that were in time in some life, for event time had not come so far.
    pub early: BTreeSet<u64>,
    /// They are not in the log any more.
    pub lost: BTreeSet<u64>,
    /// Detectors that went without some keys for want of memory.
    pub forgot: BTreeSet<String>,
    /// Something is in doubt, and what is read are no facts.
    pub blind: bool,
}

impl Doubt {
    pub fn join(&mut self, other: &Self) {
        self.late.extend(&other.late);
        self.early.extend(&other.early);
        self.lost.extend(&other.lost);
        self.forgot.extend(other.forgot.iter().cloned());
        self.blind |= other.blind;
    }

    /// Whether a law may see this fact or not, or have seen others of its key before it or not.
    fn is_loose(&self, law: &Law, fact: &Fact, alone: bool) -> bool {
        let each = matches!(law.meaning, Meaning::Each) && law.suppress == 0;
        let in_turn = if law.late {
            alone || each || !self.late.contains(&fact.id)
        } else {
            !self.early.contains(&fact.id)
        };
        self.lost.contains(&fact.id) || !in_turn
    }
}

/// Detectors, and keys of detectors from some time on, of which nothing is said.
#[derive(Clone, Debug, Default)]
pub struct Unsure {
    detectors: BTreeSet<String>,
    keys: BTreeMap<&'static str, BTreeMap<String, i64>>,
    all: bool,
}

impl Unsure {
    /// Whether what is told of this key at `time` is in doubt.
    pub fn covers(&self, detector: &str, key: &str, time: i64) -> bool {
        let from = self.keys.get(detector).and_then(|keys| keys.get(key));
        self.all || self.detectors.contains(detector) || from.is_some_and(|from| time >= *from)
    }

    pub fn has(&self, opening: &Opening) -> bool {
        self.covers(&opening.0, &opening.1, opening.2)
    }

    /// Whether it has any key of this detector.
    pub fn touches(&self, detector: &str) -> bool {
        let keys = self.keys.get(detector);
        self.all || self.detectors.contains(detector) || keys.is_some_and(|k| !k.is_empty())
    }
}

/// What a law can have from the facts, for those that build on it.
#[derive(Default)]
struct Reach<'a> {
    all: BTreeMap<u64, &'a Fact>,
    /// From when on doubtful.
    loose: BTreeMap<u64, i64>,
}

impl Reach<'_> {
    fn loosen(&mut self, id: u64, from: i64) {
        let before = self.loose.entry(id).or_insert(from);
        *before = from.min(*before);
    }
}

pub fn unsure(facts: &[Fact], doubt: &Doubt) -> Unsure {
    let mut unsure = Unsure {
        detectors: doubt.forgot.clone(),
        all: doubt.blind,
        ..Unsure::default()
    };
    let mut reached: BTreeMap<&str, Reach<'_>> = BTreeMap::new();
    let exact = laws::LAWS.iter().chain(laws::newer::LAWS);
    for law in exact.chain(laws::newer::ESTIMATES) {
        let mut reach = Reach::default();
        for stream in law.inputs {
            match stream {
                Stream::Events(takes) => {
                    let taken = facts.iter().filter(|f| takes(f));
                    reach.all.extend(taken.map(|f| (f.id, f)));
                }
                Stream::Of(name) | Stream::While(name) | Stream::Settled(name) => {
                    reach.all.extend(&reached[name].all);
                    for (id, from) in &reached[name].loose {
                        reach.loosen(*id, *from);
                    }
                    if unsure.detectors.contains(*name) {
                        unsure.detectors.insert(law.name.to_owned());
                    }
                }
            }
        }
        reach.all.retain(|_, fact| key_of(law, fact).is_some());
        let mut by_key: BTreeMap<String, Vec<&Fact>> = BTreeMap::new();
        for fact in reach.all.values() {
            let key = key_of(law, fact).unwrap_or_default();
            by_key.entry(key).or_default().push(fact);
        }
        let loose = std::mem::take(&mut reach.loose);
        for (key, of_key) in by_key {
            let alone = of_key.len() == 1;
            let from = of_key.iter().filter_map(|f| {
                let own = doubt.is_loose(law, f, alone).then_some(f.time - DISORDER);
                loose.get(&f.id).copied().into_iter().chain(own).min()
            });
            if let Some(from) = from.min() {
                of_key.iter().for_each(|f| reach.loosen(f.id, from));
                unsure.keys.entry(law.name).or_default().insert(key, from);
            }
        }
        // Who builds on it may hear of a late event before or after others.
        for id in doubt.late.iter().filter(|_| law.late) {
            if let Some(fact) = reach.all.get(id) {
                reach.loosen(*id, fact.time - DISORDER);
            }
        }
        reached.insert(law.name, reach);
    }
    unsure
}
