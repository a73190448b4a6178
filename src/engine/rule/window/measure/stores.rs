//! The containers a window rule fills per key. Own no meaning: which is for what is `Measure`'s.

use serde::{Deserialize, Serialize};

use crate::engine::sketch::distinct::Distinct;
use crate::engine::window::buckets::Buckets;
use crate::engine::window::order::Order;
use crate::engine::window::stamps::Stamps;
use crate::engine::window::sums::Sums;
use crate::engine::window::tally::Tally;

/// What a container is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum StoreKind {
    Count {
        cap: usize,
    },
    Rate,
    Distinct,
    Sums,
    Tally,
    Order,
    /// Distinct values of what the rule groups by: one, while there is any event.
    Own,
}

impl StoreKind {
    pub(super) fn fresh(self, span: i64) -> Store {
        match self {
            Self::Count { .. } | Self::Own => Store::Count(Stamps::default()),
            Self::Rate => Store::Rate(Box::new(Buckets::new(span))),
            Self::Distinct => Store::Distinct(Distinct::default()),
            Self::Sums => Store::Sums(Box::default()),
            Self::Tally => Store::Tally(Box::default()),
            Self::Order => Store::Order(Box::default()),
        }
    }
}

/// One container of values of one key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Store {
    Count(Stamps),
    Rate(Box<Buckets>),
    Distinct(Distinct),
    Sums(Box<Sums>),
    Tally(Box<Tally>),
    Order(Box<Order>),
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
            Self::Order(o) => o.heap() + size_of::<Order>(),
        }
    }
}
