//! A shard's memory, divided over its rules.
//!
//! A quarter is divided evenly and is each rule's for good; the rest is a pool from which a rule
//! that fills its share takes more, up to a bound. Invariant: all limits together never exceed the
//! memory, and no rule's keys can take the share of another.

use crate::engine::table::Bounded;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Budget {
    share: usize,
    share_max: usize,
    pool: usize,
}

/// The least worth asking for (bytes).
const STEP: usize = 256 << 10;

impl Budget {
    /// Divides `memory` bytes over `rules` rules.
    #[must_use]
    pub fn new(memory: usize, rules: usize) -> Self {
        let rules = rules.max(1);
        let share = memory / 4 / rules;
        Self {
            share,
            share_max: (memory / rules).max(memory / 4),
            pool: memory - share * rules,
        }
    }

    /// What each rule has to begin with.
    #[must_use]
    pub const fn share(&self) -> usize {
        self.share
    }

    /// Gives a table that fills its share more, while there is more.
    pub fn provide(&mut self, table: &mut dyn Bounded) {
        let (bytes, limit) = table.memory();
        if let Some(limit) = self.grow(limit, bytes) {
            table.limit(limit);
        }
    }

    /// A new limit for a rule that uses `bytes` of its `limit`, if it needs and may have one.
    pub fn grow(&mut self, limit: usize, bytes: usize) -> Option<usize> {
        let full = bytes >= limit - limit / 8;
        let room = self.share_max.saturating_sub(limit).min(self.pool);
        if !full || room == 0 {
            return None;
        }
        let more = limit.max(STEP).min(room);
        self.pool -= more;
        Some(limit + more)
    }

    /// The limits for rules that come with state already, which each uses so many bytes of the limit it had:
    /// first all get what they use, then what they had. So a restart with the same rules and memory changes
    /// no limit, and loses no key.
    pub fn settle(&mut self, tables: &[(usize, usize)]) -> Vec<usize> {
        let mut limits = vec![self.share; tables.len()];
        let uses = |(bytes, had): &(usize, usize)| *bytes.min(had);
        let had = |(_, had): &(usize, usize)| *had;
        for wanted in [uses, had] {
            for (limit, table) in limits.iter_mut().zip(tables) {
                let wanted = wanted(table).min(self.share_max);
                let more = wanted.saturating_sub(*limit).min(self.pool);
                self.pool -= more;
                *limit += more;
            }
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn limits_never_exceed_the_memory(
            memory in 1usize << 10..1 << 30,
            rules in 1usize..200,
            asks in prop::collection::vec((0usize..200, 0usize..2), 0..500),
        ) {
            let mut budget = Budget::new(memory, rules);
            let mut limits = vec![budget.share(); rules];
            for (rule, full) in asks {
                let rule = rule % rules;
                if let Some(limit) = budget.grow(limits[rule], limits[rule] * full) {
                    prop_assert!(full == 1 && limit > limits[rule]);
                    limits[rule] = limit;
                }
            }
            prop_assert!(limits.iter().sum::<usize>() <= memory);
            prop_assert!(limits.iter().all(|l| *l >= memory / 4 / rules));
        }
    }

    #[test]
    fn one_greedy_rule_leaves_three_quarters_to_the_others() {
        let mut budget = Budget::new(400 << 20, 100);
        let mut limit = budget.share();
        while let Some(more) = budget.grow(limit, limit) {
            limit = more;
        }
        assert_eq!(limit, 100 << 20);
    }

    /// A table that was filled late and large got what the earlier ones had left of the memory, once they all
    /// had been given a quarter more than they used: at 1.4 of 2 GiB 7 % of the keys went with a restart.
    #[test]
    fn a_restart_gives_each_rule_what_it_had() {
        let mut budget = Budget::new(400 << 20, 4);
        let mut limits = [budget.share(); 4];
        for limit in &mut limits {
            while let Some(more) = budget.grow(*limit, *limit) {
                *limit = more;
            }
        }
        let full: Vec<(usize, usize)> = limits.iter().map(|l| (*l - 1000, *l)).collect();
        assert_eq!(Budget::new(400 << 20, 4).settle(&full), limits);
        // With half the memory, what is in use comes before what might be.
        let tables = [
            (100, 100),
            (10, 100),
            (10, 100),
            (40, 50),
            (0, 6),
            (0, 6),
            (0, 6),
            (0, 6),
        ];
        let bytes = tables.map(|(bytes, had)| (bytes << 20, had << 20));
        let mut budget = Budget::new(200 << 20, 8);
        let share = budget.share();
        let [first, second, third, fourth] = [50 << 20, 50 << 20, 35 << 20, 40 << 20];
        let wanted = [first, second, third, fourth, share, share, share, share];
        assert_eq!(budget.settle(&bytes), wanted);
    }

    #[test]
    fn a_single_rule_may_have_it_all() {
        let mut budget = Budget::new(64 << 20, 1);
        let mut limit = budget.share();
        while let Some(more) = budget.grow(limit, limit) {
            limit = more;
        }
        assert_eq!(limit, 64 << 20);
    }
}
