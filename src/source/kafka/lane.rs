//! One partition that is, or was, read: where reading stands, and what is known of its log.
//!
//! Pure but for the clock. Invariant: a record is taken once, in the order of offsets, and an end that was told
//! is taken back with the first record behind it.

#![expect(clippy::disallowed_methods, reason = "notes when a record came")]

use std::time::Instant;

use super::super::ledger::LogId;
use super::super::{Batch, Halt, Notice, Partition, Record};
use super::context::Bounds;
use super::hearing::Ear;
use crate::model::{Fingerprint, HashKey};

/// See the module's text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane {
    pub next: i64,
    /// What the record before `next` was, until the log has shown that it holds it still.
    pub proof: Option<Fingerprint>,
    /// Which log it is, once that was told.
    pub log: Option<LogId>,
    /// The first offset in the log, as it was at first.
    pub low: i64,
    /// One past the last offset in the log, as far as is known.
    pub high: i64,
    /// The end that the client last came to; less than 0 if to none.
    pub eof: i64,
    /// From `next` to here the log holds nothing to read: marks of transactions.
    pub empty_to: i64,
    pub ended: bool,
    /// Whether its broker answers, and when it last did.
    pub ear: Ear,
    pub heard_at: Instant,
    /// It has been silent for so long that nobody waits for it: its end stands all the same.
    pub given_up: bool,
    pub halted: Option<Halt>,
    /// The batch that was last passed over, and how often.
    pub passed: (i64, u8),
    /// When a record last came, or the brokers were last asked whether one should have.
    pub moved_at: Instant,
    /// How often the client was made anew for want of one since then.
    pub stalls: u32,
}

impl Lane {
    /// One that is read from `next` on.
    pub(super) fn new(next: i64, (low, high): (i64, i64)) -> Self {
        Self {
            next,
            proof: None,
            log: None,
            low,
            high,
            eof: -1,
            empty_to: next,
            ended: false,
            ear: Ear::Fresh,
            heard_at: Instant::now(),
            given_up: false,
            halted: None,
            passed: (-1, 0),
            moved_at: Instant::now(),
            stalls: 0,
        }
    }

    /// One without a log.
    pub(super) fn missing(next: i64) -> Self {
        Self {
            ear: Ear::Deaf,
            halted: Some(Halt::Missing),
            ..Self::new(next, (next, next))
        }
    }

    /// Where reading begins: one record earlier where that one has something to show.
    pub(super) const fn from(&self) -> i64 {
        if self.proof.is_some() {
            self.next - 1
        } else {
            self.next
        }
    }

    /// All before it was read.
    pub(super) fn reached(&self) -> i64 {
        self.next.max(self.empty_to)
    }

    /// Takes a record in unless it is old; false where it shows that the log is another one.
    pub(super) fn take(
        &mut self,
        record: Record<'_>,
        key: Option<&HashKey>,
        batch: &mut Batch,
    ) -> bool {
        if self.halted.is_some() {
            return true;
        }
        if record.offset + 1 == self.next {
            let Some((proof, key)) = self.proof.take().zip(key) else {
                return true;
            };
            // It is the one that was read, also where it was brought back under another id.
            self.log = None;
            return record.fingerprint(key) == proof;
        }
        if record.offset < self.next {
            return true;
        }
        // Where compaction has taken the record that was to be looked at, nothing is claimed.
        self.proof = None;
        self.next = record.offset + 1;
        self.high = self.high.max(self.next);
        self.take_back(record.partition, batch);
        (self.moved_at, self.stalls) = (Instant::now(), 0);
        batch.push(record);
        true
    }

    /// Takes in what a report says.
    pub(super) fn see(&mut self, bounds: Bounds) {
        self.ear = self.ear.after(bounds.heard);
        if bounds.heard.is_some() {
            self.heard_at = Instant::now();
        }
        self.given_up &= !self.ear.is_sure();
        self.eof = bounds.eof;
        // Before its first answer the client knows less than was asked at the beginning.
        if bounds.high >= 0 {
            self.high = bounds.high.max(self.next);
        }
    }

    /// Whether all that the log holds was read, and its broker would say if there were more.
    pub(super) fn is_at_end(&self) -> bool {
        let reached = self.reached();
        self.eof == reached && self.high <= reached && self.ear.is_sure()
    }

    /// The end that was told, perhaps in this very batch, is none.
    pub(super) fn take_back(&mut self, partition: Partition, batch: &mut Batch) {
        if !self.ended {
            return;
        }
        (self.ended, self.given_up) = (false, false);
        let same = |n: &Notice| matches!(n, Notice::End { partition: p, .. } if *p == partition);
        batch.notices.retain(|n| !same(n));
        batch.notices.push(Notice::Behind { partition });
    }
}
