//! The containers a window rule fills per key. Own no meaning: which is for what is `Measure`'s.

use serde::{Deserialize, Serialize};

use crate::engine::sketch::distinct::Distinct;
use crate::engine::window::buckets::Buckets;
use crate::engine::window::stamps::Stamps;
use crate::engine::window::sums::Sums;
use crate::engine::window::tally::Tally;

/// One container of values of one key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Store {
    Count(Stamps),
    Rate(Box<Buckets>),
    Distinct(Distinct),
    Sums(Box<Sums>),
    Tally(Box<Tally>),
}

/// All containers of one key. The first stands inline: most rules have just one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stores {
    pub(super) first: Store,
    pub(super) rest: Vec<Store>,
}

impl Stores {
    pub(super) fn get(&self, index: usize) -> Option<&Store> {
        match index {
            0 => Some(&self.first),
            n => self.rest.get(n - 1),
        }
    }

    #[must_use]
    pub fn heap(&self) -> usize {
        std::iter::once(&self.first)
            .chain(&self.rest)
            .map(Store::heap)
            .sum::<usize>()
            + self.rest.capacity() * size_of::<Store>()
    }
}

impl Store {
    fn heap(&self) -> usize {
        match self {
            Self::Count(s) => s.heap(),
            Self::Rate(_) => Buckets::HEAP + size_of::<Buckets>(),
            Self::Distinct(d) => d.heap(),
            Self::Sums(s) => s.heap() + size_of::<Sums>(),
            Self::Tally(t) => t.heap() + size_of::<Tally>(),
        }
    }
}
