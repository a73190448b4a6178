//! The buffer a batch is unpacked into, which grows as far as the account and `BATCH_MAX` allow.
//!
//! Invariant: no more bytes are touched than are reserved.

use std::time::Duration;

use crate::account::{Account, START, Share};
use crate::refusal::Cause;
use crate::{BATCH_MAX, RECORD_COST, records};

/// A batch unpacked, with what it costs. Whoever holds it gives that back to the account.
#[derive(Debug)]
pub struct Unpacked {
    pub bytes: Vec<u8>,
    pub cost: usize,
}

pub(crate) struct Room<'a> {
    share: Share<'a>,
    /// Bytes there is room for now.
    limit: usize,
    /// What the decoder takes for itself once there are more than `START`; until then no more than those.
    beside: usize,
    bytes: Vec<u8>,
}

impl<'a> Room<'a> {
    /// Room to begin with, and for what the decoder takes.
    pub(crate) fn begin(
        account: &'a Account,
        beside: usize,
        patience: Duration,
    ) -> Result<Self, Cause> {
        Ok(Self {
            share: account.begin(START + beside.min(START), patience)?,
            limit: START,
            beside,
            bytes: Vec::new(),
        })
    }

    fn widen(&mut self, size: usize) -> Result<(), Cause> {
        if size > BATCH_MAX {
            return Err(Cause::Oversized);
        }
        self.share.resize(size + self.beside)?;
        self.limit = size;
        Ok(())
    }

    /// Adds bytes of a stream.
    pub(crate) fn push(&mut self, more: &[u8]) -> Result<(), Cause> {
        let size = self.bytes.len() + more.len();
        if size > self.limit {
            self.widen(size.max((self.limit * 2).min(BATCH_MAX)))?;
            // All at once, since what is not touched takes no memory, and copies would.
            self.reserve(BATCH_MAX)?;
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }

    /// Makes room for that many bytes in all, with none in it yet.
    pub(crate) fn whole(&mut self, size: usize) -> Result<&mut Vec<u8>, Cause> {
        self.bytes = Vec::new();
        if size > self.limit {
            self.widen(size)?;
        }
        self.reserve(size)?;
        Ok(&mut self.bytes)
    }

    /// For a machine that has no such memory at all, the batch waits for better times.
    fn reserve(&mut self, size: usize) -> Result<(), Cause> {
        let more = size - self.bytes.len();
        self.bytes.try_reserve_exact(more).map_err(|_| Cause::Busy)
    }

    /// What was unpacked, once there is also room for its records. A batch of nothing is none:
    /// librdkafka would end the process.
    pub(crate) fn finish(mut self) -> Result<Unpacked, Cause> {
        let size = self.bytes.len();
        if size == 0 {
            return Err(Cause::Damaged);
        }
        let cost = size + records::count(&self.bytes) * RECORD_COST;
        if cost > BATCH_MAX {
            return Err(Cause::Oversized);
        }
        if size < START {
            self.bytes.shrink_to_fit();
        }
        self.share.resize(cost)?;
        Ok(Unpacked {
            bytes: self.bytes,
            cost: self.share.lend(),
        })
    }
}
