//! A range of keys with an order, as `View::scan` takes it.
//!
//! Owns the arithmetic of prefixes; knows no table.

use std::ops::Bound;

/// Keys from one bound to another, upwards or downwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    pub from: Bound<Vec<u8>>,
    pub to: Bound<Vec<u8>>,
    /// Highest keys first.
    pub descending: bool,
}

impl Range {
    /// Every key.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            from: Bound::Unbounded,
            to: Bound::Unbounded,
            descending: false,
        }
    }

    /// Keys that begin with these bytes.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        let to = after_prefix(prefix).map_or(Bound::Unbounded, Bound::Excluded);
        Self {
            from: Bound::Included(prefix.to_vec()),
            to,
            descending: false,
        }
    }

    /// Only keys above this one.
    #[must_use]
    pub fn after(mut self, key: Vec<u8>) -> Self {
        self.from = Bound::Excluded(key);
        self
    }

    /// Only keys below this one.
    #[must_use]
    pub fn before(mut self, key: Vec<u8>) -> Self {
        self.to = Bound::Excluded(key);
        self
    }

    /// The other way round.
    #[must_use]
    pub const fn reversed(mut self) -> Self {
        self.descending = !self.descending;
        self
    }

    /// The bounds as slices.
    pub(super) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (
            self.from.as_ref().map(Vec::as_slice),
            self.to.as_ref().map(Vec::as_slice),
        )
    }

    /// Whether no key can lie in it; ordered maps panic on such bounds.
    pub(super) fn is_empty(&self) -> bool {
        match (&self.from, &self.to) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(a), Bound::Included(b)) => a > b,
            (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => {
                a >= b
            }
        }
    }

    /// What is left of the range once `last` has been visited.
    pub(super) fn rest(&self, last: &[u8]) -> Self {
        let mut rest = self.clone();
        let bound = Bound::Excluded(last.to_vec());
        if self.descending {
            rest.to = bound
        } else {
            rest.from = bound
        }
        rest
    }
}

/// The lowest key above every key with the prefix; none for an empty one or one of all 0xff.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|b| *b != u8::MAX)?;
    let mut next = prefix.get(..=kept)?.to_vec();
    let last = next.last_mut()?;
    *last += 1;
    Some(next)
}
