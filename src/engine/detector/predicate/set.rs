//! Many literals tested at once: whole values, beginnings or endings, by binary search.
//!
//! Owns the order (length, then bytes) that makes one look-up per distinct length enough. Does
//! not allocate when asked. Literals are lower-cased ASCII unless the set is case-sensitive.

use std::cmp::Ordering;

/// Which part of the value must be in the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Start,
    End,
}

/// A sorted set of literals.
#[derive(Clone, Debug)]
pub(super) struct LiteralSet {
    part: Part,
    cased: bool,
    /// Sorted by length, then bytes.
    literals: Vec<Box<[u8]>>,
    /// Where each length begins in `literals`: (length, from, to).
    runs: Vec<(usize, usize, usize)>,
}

impl LiteralSet {
    /// Makes a set; the literals are lower-cased here if `cased` is false.
    pub(super) fn new(part: Part, cased: bool, literals: impl IntoIterator<Item = String>) -> Self {
        let mut literals: Vec<Box<[u8]>> = literals
            .into_iter()
            .map(|mut s| {
                if !cased {
                    s.make_ascii_lowercase();
                }
                s.into_bytes().into_boxed_slice()
            })
            .collect();
        literals.sort_unstable_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        literals.dedup();
        let mut runs: Vec<(usize, usize, usize)> = Vec::new();
        for (i, literal) in literals.iter().enumerate() {
            match runs.last_mut() {
                Some((len, _, to)) if *len == literal.len() => *to = i + 1,
                _ => runs.push((literal.len(), i, i + 1)),
            }
        }
        Self {
            part,
            cased,
            literals,
            runs,
        }
    }

    /// Whether the value, its beginning or its ending is in the set.
    #[inline]
    pub(super) fn contains(&self, value: &str) -> bool {
        let bytes = value.as_bytes();
        match self.part {
            Part::Whole => match self.runs.binary_search_by_key(&bytes.len(), |r| r.0) {
                Ok(i) => self.runs.get(i).is_some_and(|run| self.find(*run, bytes)),
                Err(_) => false,
            },
            Part::Start => self.runs.iter().any(|run| {
                bytes
                    .get(..run.0)
                    .is_some_and(|start| self.find(*run, start))
            }),
            Part::End => self.runs.iter().any(|run| {
                let end = bytes
                    .len()
                    .checked_sub(run.0)
                    .and_then(|from| bytes.get(from..));
                end.is_some_and(|end| self.find(*run, end))
            }),
        }
    }

    fn find(&self, run: (usize, usize, usize), bytes: &[u8]) -> bool {
        let Some(literals) = self.literals.get(run.1..run.2) else {
            return false;
        };
        let order = |literal: &[u8]| {
            if self.cased {
                literal.cmp(bytes)
            } else {
                compare_lower(literal, bytes)
            }
        };
        literals.binary_search_by(|literal| order(literal)).is_ok()
    }
}

/// Orders a lower-cased literal against bytes of the same length in any case.
fn compare_lower(literal: &[u8], bytes: &[u8]) -> Ordering {
    for (a, b) in literal.iter().zip(bytes) {
        match a.cmp(&b.to_ascii_lowercase()) {
            Ordering::Equal => {}
            other => return other,
        }
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_list(
            literals in prop::collection::vec("[a-cA-C]{0,4}", 0..20),
            value in "[a-cA-C]{0,6}",
            cased: bool,
        ) {
            let fold = |s: &str| if cased { s.to_owned() } else { s.to_lowercase() };
            let v = fold(&value);
            for (part, want) in [
                (Part::Whole, literals.iter().any(|l| fold(l) == v)),
                (Part::Start, literals.iter().any(|l| v.starts_with(&fold(l)))),
                (Part::End, literals.iter().any(|l| v.ends_with(&fold(l)))),
            ] {
                let set = LiteralSet::new(part, cased, literals.clone());
                prop_assert_eq!(set.contains(&value), want);
            }
        }
    }
}
