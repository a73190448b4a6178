//! The texts of batches of which something is still held back for order.
//!
//! Owns their numbers and how much of each is left; a text goes when it is done with, its place when all
//! before it are, too. Only the first places go and new ones come at the end, so that is what an increment
//! tells. Invariant: where nothing is left there is no text.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::engine::snapshot::changes::{Changing, Reader, Writer};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Arena {
    text: Vec<u8>,
    left: usize,
}

impl Arena {
    fn leave(&mut self, left: usize) {
        self.left = left;
        if left == 0 {
            self.text = Vec::new();
        }
    }
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
    pub(super) fn push(&mut self, text: &[u8], left: usize) {
        if left > 0 {
            let text = text.to_vec();
            self.list.push_back(Arena { text, left });
        }
    }

    /// Gives the text of this number to `then`; one observation of it is held no more.
    pub(super) fn take(&mut self, number: u64, then: impl FnOnce(&[u8])) {
        let index = number.checked_sub(self.first).map(usize::try_from);
        let Some(Ok(index)) = index else { return };
        if let Some(arena) = self.list.get_mut(index) {
            then(&arena.text);
            arena.leave(arena.left.saturating_sub(1));
        }
    }

    /// Lets go of texts that are done with, which an earlier tidegate kept.
    pub(super) fn tidy(&mut self) {
        for arena in &mut self.list {
            arena.leave(arena.left);
        }
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
            arena.leave(left);
        }
        self.list.extend(new);
        self.first = first;
        Ok(())
    }

    fn mark_written(&mut self) {
        self.written = self.next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [B1] One observation that waits for long kept the texts of all batches behind it.
    #[test]
    fn a_text_goes_when_nothing_of_it_is_left_whatever_waits_before_it() {
        let mut arenas = Arenas::default();
        arenas.push(&[1; 1000], 1);
        let mut other: Arenas = postcard::from_bytes(&bytes(&arenas)).unwrap();
        arenas.mark_written();
        for round in 0..100 {
            let number = arenas.next();
            arenas.push(&[2; 1000], 2);
            arenas.push(&[3; 1000], 0);
            arenas.take(number, |text| assert_eq!(text, [2; 1000]));
            if round % 3 == 0 {
                written(&mut arenas, &mut other);
            }
            arenas.take(number, |text| assert_eq!(text, [2; 1000]));
            arenas.trim();
            written(&mut arenas, &mut other);
        }
        assert_eq!(arenas.next(), 101, "nothing was held of every other batch");
        let size = bytes(&arenas).len();
        assert!(size < 1000 + 300, "{size} bytes");
        arenas.take(0, |text| assert_eq!(text, [1; 1000]));
        arenas.trim();
        assert!(arenas.list.is_empty());
        assert_eq!(arenas.next(), 101);
        written(&mut arenas, &mut other);
    }

    fn bytes(arenas: &Arenas) -> Vec<u8> {
        postcard::to_stdvec(arenas).unwrap()
    }

    /// Brings the other one to where this one is, by what has changed.
    fn written(arenas: &mut Arenas, other: &mut Arenas) {
        let mut to = Writer::default();
        arenas.write(&mut to).unwrap();
        arenas.mark_written();
        let changes = to.done();
        let mut from = Reader::new(crate::engine::snapshot::VERSION, &changes);
        other.apply(&mut from).unwrap();
        from.end().unwrap();
        assert_eq!(bytes(other), bytes(arenas));
    }
}
