//! How much is unpacked and not yet freed, over all brokers and partitions of the process.
//!
//! Whoever unpacks reserves room first and waits for it; whoever frees gives it back. One thread at a
//! time takes more than its first `START`, so two that each hold a part never wait for each other.
//! Invariant: what is held never passes the limit, but for one `START` of each thread.

#![expect(clippy::disallowed_methods, reason = "times how long it waits")]

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::refusal::Cause;

/// What each batch may take at first; most need no more.
pub(crate) const START: usize = 1 << 20;

/// What the account has to tell, in all since the process began but for `held`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Bytes held now, and at most.
    pub held: usize,
    pub most: usize,
    /// Times somebody had to wait for room.
    pub waits: u64,
    /// Batches unpacked, by `Codec::ALL`.
    pub unpacked: [u64; 4],
    /// Batches refused, by `Cause::ALL`.
    pub refused: [u64; 3],
    /// Batches passed over because somebody accepted their loss.
    pub passed_over: u64,
}

#[derive(Debug)]
struct Books {
    numbers: Numbers,
    /// The part of what is held that a reader will free.
    lent: usize,
    /// Whether one takes more than its start, and what it waits for: others leave that to it.
    is_growing: bool,
    wanted: usize,
}

/// See the module's text.
#[derive(Debug)]
pub struct Account {
    limit: usize,
    books: Mutex<Books>,
    freed: Condvar,
}

impl Account {
    /// An account of which nothing is taken.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            books: Mutex::new(Books {
                numbers: Numbers {
                    held: 0,
                    most: 0,
                    waits: 0,
                    unpacked: [0; 4],
                    refused: [0; 3],
                    passed_over: 0,
                },
                lent: 0,
                is_growing: false,
                wanted: 0,
            }),
            freed: Condvar::new(),
        }
    }

    // No code of ours panics while it holds the books, and what they say is sound between any two lines.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands in it.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        self.books().numbers
    }

    /// Changes what is counted beside the room.
    pub(crate) fn note(&self, change: impl FnOnce(&mut Numbers)) {
        change(&mut self.books().numbers);
    }

    /// Room for a beginning, within `patience`.
    pub(crate) fn begin(&self, size: usize, patience: Duration) -> Result<Share<'_>, Cause> {
        let until = Instant::now() + patience;
        let fits =
            |b: &Books| b.numbers.held == 0 || b.numbers.held + b.wanted + size <= self.limit;
        let mut books = self.wait(self.books(), until, fits)?;
        books.take(size);
        drop(books);
        Ok(Share {
            account: self,
            size,
            is_growing: false,
            until,
        })
    }

    /// The books once they are as wished.
    fn wait<'a>(
        &self,
        mut books: MutexGuard<'a, Books>,
        until: Instant,
        fits: impl Fn(&Books) -> bool,
    ) -> Result<MutexGuard<'a, Books>, Cause> {
        if fits(&books) {
            return Ok(books);
        }
        books.numbers.waits += 1;
        let left = until.saturating_duration_since(Instant::now());
        let wait = self.freed.wait_timeout_while(books, left, |b| !fits(b));
        let (books, _) = wait.unwrap_or_else(PoisonError::into_inner);
        if fits(&books) {
            Ok(books)
        } else {
            Err(Cause::Busy)
        }
    }

    /// A reader has freed what was lent to it.
    pub(crate) fn give_back(&self, size: usize) {
        let mut books = self.books();
        books.lent -= size;
        books.numbers.held -= size;
        drop(books);
        self.freed.notify_all();
    }
}

impl Books {
    fn take(&mut self, size: usize) {
        self.numbers.held += size;
        self.numbers.most = self.numbers.most.max(self.numbers.held);
    }
}

/// Room that is reserved; given back when dropped, unless it is lent.
#[derive(Debug)]
pub(crate) struct Share<'a> {
    account: &'a Account,
    size: usize,
    is_growing: bool,
    until: Instant,
}

impl Share<'_> {
    /// Takes more, or gives some back.
    pub(crate) fn resize(&mut self, size: usize) -> Result<(), Cause> {
        let account = self.account;
        let Some(more) = size.checked_sub(self.size).filter(|more| *more > 0) else {
            account.books().numbers.held -= self.size - size;
            self.size = size;
            account.freed.notify_all();
            return Ok(());
        };
        let mut books = account.books();
        if !self.is_growing {
            books = account.wait(books, self.until, |b| !b.is_growing)?;
            books.is_growing = true;
            self.is_growing = true;
        }
        books.wanted = more;
        // Where nothing is lent nobody will free any: what the others have begun is the little above the limit.
        let fits = |b: &Books| b.lent == 0 || b.numbers.held + more <= account.limit;
        let waited = account.wait(books, self.until, fits);
        let mut books = waited.inspect_err(|_| account.books().wanted = 0)?;
        books.wanted = 0;
        books.take(more);
        self.size = size;
        Ok(())
    }

    /// Hands it to a reader, who gives back as much as this says.
    pub(crate) fn lend(mut self) -> usize {
        let size = std::mem::take(&mut self.size);
        self.account.books().lent += size;
        size
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut books = self.account.books();
        books.numbers.held -= self.size;
        if self.is_growing {
            books.is_growing = false;
        }
        drop(books);
        self.account.freed.notify_all();
    }
}

#[cfg(test)]
mod tests;
