//! The texts of batches of which something is still held back for order.
//!
//! Owns their numbers and how much of each is left; a text goes when it and all before it are done
//! with. Only the first ones go and new ones come at the end, so that is what an increment tells.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::engine::snapshot::changes::{Changing, Reader, Writer};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Arena {
    text: Vec<u8>,
    left: usize,
}

/// See the module's text.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Arenas {
    list: VecDeque<Arena>,
    /// Number of the first one.
    first: u64,
    /// Number of the first one that came since they were last written.
    #[serde(skip)]
    written: u64,
}

impl Arenas {
    /// The number that the next one will have.
    pub(super) fn next(&self) -> u64 {
        self.first + self.list.len() as u64
    }

    /// Keeps a text of which so many observations are held.
    pub(super) fn push(&mut self, text: Vec<u8>, left: usize) {
        self.list.push_back(Arena { text, left });
    }

    /// The text of this number; one observation of it is held no more.
    pub(super) fn take(&mut self, number: u64) -> Option<&[u8]> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let arena = self.list.get_mut(index)?;
        arena.left = arena.left.saturating_sub(1);
        Some(&arena.text)
    }

    /// Lets go of those that are done with.
    pub(super) fn trim(&mut self) {
        while self.list.front().is_some_and(|a| a.left == 0) {
            self.list.pop_front();
            self.first += 1;
        }
    }
}

impl Changing for Arenas {
    fn write(&self, to: &mut Writer) -> Result<(), postcard::Error> {
        let old = usize::try_from(self.written.saturating_sub(self.first)).unwrap_or(0);
        let (old, new) = (self.list.iter().take(old), self.list.iter().skip(old));
        let left: Vec<usize> = old.map(|a| a.left).collect();
        to.put(&(self.first, left, new.collect::<Vec<_>>()))
    }

    fn apply(&mut self, from: &mut Reader<'_>) -> Result<(), postcard::Error> {
        let (first, left, new): (u64, Vec<usize>, Vec<Arena>) = from.take()?;
        let gone = usize::try_from(first.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.list.drain(..gone.min(self.list.len()));
        for (arena, left) in self.list.iter_mut().zip(left) {
            arena.left = left;
        }
        self.list.extend(new);
        self.first = first;
        Ok(())
    }

    fn mark_written(&mut self) {
        self.written = self.next();
    }
}
