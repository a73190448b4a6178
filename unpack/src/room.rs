//! The buffer a batch is unpacked into, which grows as far as the account and `BATCH_MAX` allow.
//!
//! Invariant: no more bytes are touched than are reserved.

use std::time::Duration;

use crate::account::{Account, START, Share};
use crate::buffer::Buffer;
use crate::records::Form;
use crate::refusal::Cause;
use crate::{BATCH_MAX, RECORD_COST, records};

/// A batch unpacked, with what it costs. Whoever holds it gives that back to the account.
#[derive(Debug)]
pub struct Unpacked {
    pub buffer: Buffer,
    pub cost: usize,
}

pub(crate) struct Room<'a> {
    share: Share<'a>,
    /// Bytes there is room for now.
    limit: usize,
    /// What the decoder takes for itself once there are more than `START`; until then no more than those.
    beside: usize,
    buffer: Buffer,
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
            buffer: Buffer::new(),
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
        let size = self.buffer.bytes().len() + more.len();
        if size > self.limit {
            self.widen(size.max((self.limit * 2).min(BATCH_MAX)))?;
        }
        self.buffer.push(more)
    }

    /// Makes room for that many bytes in all, zeros as yet.
    pub(crate) fn whole(&mut self, size: usize) -> Result<&mut [u8], Cause> {
        self.buffer = Buffer::new();
        if size > self.limit {
            self.widen(size)?;
        }
        self.buffer = Buffer::zeros(size)?;
        Ok(self.buffer.bytes_mut())
    }

    /// Only so many of them count.
    pub(crate) fn truncate(&mut self, size: usize) {
        self.buffer.truncate(size);
    }

    /// What was unpacked, once there is also room for its records. A batch of nothing is none:
    /// librdkafka would end the process.
    pub(crate) fn finish(mut self, form: Form) -> Result<Unpacked, Cause> {
        let bytes = self.buffer.bytes();
        if bytes.is_empty() {
            return Err(Cause::Damaged);
        }
        let records = records::count(bytes, form).ok_or(Cause::Damaged)?;
        let cost = bytes.len() + records * RECORD_COST;
        if cost > BATCH_MAX {
            return Err(Cause::Oversized);
        }
        self.buffer.shrink();
        self.share.resize(cost)?;
        Ok(Unpacked {
            buffer: self.buffer,
            cost: self.share.lend(),
        })
    }
}
