//! Whether values come in an order: the steps from one value of a key to the next, up or down, and
//! how often they turn.
//!
//! Owns the order of identifiers (as a number) and the counts; how probable they are is the rule's.
//! Bound: the newest `STEPS_MAX` steps; equal neighbours are no step.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Steps remembered per key.
pub const STEPS_MAX: usize = 256;

/// Letters that decide where there is a number, and where there is none; five bits each.
const LETTERS_BEFORE_NUMBER: u32 = 3;
const LETTERS: u32 = 12;
/// Bits below the letters before a number.
const NUMBER_BITS: u32 = 49;

/// Where an identifier stands among others, as people and programs count: by its first letters, then
/// by its first number (`user-9` before `user-10`), or by more letters where it has none.
#[must_use]
pub fn place(identifier: &str) -> u64 {
    let mut digits = identifier
        .split(|c: char| !c.is_ascii_digit())
        .filter(|run| !run.is_empty());
    let number = digits.next().map(|run| {
        let most = (1 << NUMBER_BITS) - 1;
        run.parse().map_or(most, |n: u64| n.min(most))
    });
    let letters = |count: u32| {
        let letter = |c: char| match c.to_ascii_lowercase() {
            c @ 'a'..='z' => u64::from(c) - u64::from('a') + 1,
            _ => 31,
        };
        let mut codes = identifier.chars().filter(|c| c.is_alphabetic()).map(letter);
        (0..count).fold(0, |sum, _| sum << 5 | codes.next().unwrap_or(0))
    };
    match number {
        Some(number) => letters(LETTERS_BEFORE_NUMBER) << NUMBER_BITS | number,
        None => letters(LETTERS) << (NUMBER_BITS + 5 * LETTERS_BEFORE_NUMBER - 5 * LETTERS),
    }
}

/// See the module's text.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Order {
    last: Option<u64>,
    /// When, and whether up.
    steps: VecDeque<(i64, bool)>,
    /// Neighbouring steps that differ.
    turns: usize,
}

impl Order {
    /// The next value of the key. Values are told in order of time; a straggler counts when it comes.
    pub fn insert(&mut self, place: u64, time: i64, span: i64) {
        let time = self.steps.back().map_or(time, |(last, _)| time.max(*last));
        while self.steps.front().is_some_and(|(t, _)| *t <= time - span) {
            self.forget_oldest();
        }
        if let Some(last) = self.last.replace(place)
            && last != place
        {
            if self.steps.len() == STEPS_MAX {
                self.forget_oldest();
            }
            let up = place > last;
            self.turns += usize::from(self.steps.back().is_some_and(|(_, before)| *before != up));
            self.steps.push_back((time, up));
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, up)) = self.steps.pop_front() {
            self.turns -= usize::from(self.steps.front().is_some_and(|(_, next)| *next != up));
        }
    }

    /// Steps in `(from, …]`, and how often they turn.
    #[must_use]
    pub fn count(&self, from: i64) -> (usize, usize) {
        let gone = self.steps.partition_point(|(time, _)| *time <= from);
        let pairs = self.steps.iter().zip(self.steps.iter().skip(1));
        let lost = pairs.take(gone).filter(|(a, b)| a.1 != b.1).count();
        (self.steps.len() - gone, self.turns - lost)
    }

    /// The oldest step younger than `from`.
    #[must_use]
    pub fn first_after(&self, from: i64) -> Option<i64> {
        let at = self.steps.partition_point(|(time, _)| *time <= from);
        self.steps.get(at).map(|(time, _)| *time)
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap(&self) -> usize {
        self.steps.capacity() * size_of::<(i64, bool)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn identifiers_stand_as_they_are_counted() {
        for (before, after) in [
            ("user-9", "user-10"),
            ("u-000123", "u-000124"),
            ("9", "10"),
            ("aaron", "abby"),
            ("Aaron", "abby"),
            ("anna", "annabel"),
            ("cust-1@example.com", "cust-2@example.com"),
            ("adam7", "bea3"),
            ("99999999999999999998", "a1"),
        ] {
            assert!(place(before) < place(after), "{before} {after}");
        }
        assert_eq!(place("u-7"), place("U_007"));
        assert!(place("ünal") > place("zoe"));
        assert_eq!(place(""), 0);
    }

    proptest! {
        /// Against the definition: all steps of the window, and the neighbours among them that differ.
        #[test]
        fn steps_and_turns_are_those_of_the_window(
            values in prop::collection::vec((0u64..6, 0i64..40), 1..600),
            span in 1i64..2000,
            later in 0i64..200,
        ) {
            let (mut order, mut now, mut last, mut steps) = (Order::default(), 0, None, Vec::new());
            for (value, step) in values {
                now += step;
                order.insert(value, now, span);
                if last.is_some_and(|l| l != value) {
                    steps.push((now, Some(value) > last));
                }
                last = Some(value);
            }
            let from = now + later - span;
            let kept = steps.split_off(steps.len().saturating_sub(STEPS_MAX));
            let kept: Vec<_> = kept.into_iter().filter(|(t, _)| *t > from).collect();
            let turns = kept.windows(2).filter(|w| w[0].1 != w[1].1).count();
            prop_assert_eq!(order.count(from), (kept.len(), turns));
            prop_assert_eq!(order.first_after(from), kept.first().map(|(t, _)| *t));
        }
    }
}
