//! The memory of one batch: small ones on the heap, large ones in a mapping of their own.
//!
//! A mapping takes what is touched of it and is gone the moment it is dropped; an allocator keeps freed
//! mebibytes for a while, which nobody has on account. Invariant: bytes never move once they are unpacked.

use memmap2::MmapMut;

use crate::BATCH_MAX;
use crate::account::START;
use crate::refusal::Cause;

/// See the module's text.
#[derive(Debug)]
pub struct Buffer(Memory);

#[derive(Debug)]
enum Memory {
    Heap(Vec<u8>),
    Mapped { map: MmapMut, length: usize },
}

/// A machine that has no such memory at all lets the batch wait for better times.
fn map(size: usize) -> Result<MmapMut, Cause> {
    MmapMut::map_anon(size).map_err(|_| Cause::Busy)
}

impl Buffer {
    pub(crate) const fn new() -> Self {
        Self(Memory::Heap(Vec::new()))
    }

    /// That many zeros.
    pub(crate) fn zeros(size: usize) -> Result<Self, Cause> {
        Ok(Self(if size > START {
            let map = map(size)?;
            Memory::Mapped { map, length: size }
        } else {
            Memory::Heap(vec![0; size])
        }))
    }

    /// Adds bytes; no more than `BATCH_MAX` in all.
    pub(crate) fn push(&mut self, more: &[u8]) -> Result<(), Cause> {
        if let Memory::Heap(bytes) = &mut self.0 {
            if bytes.len() + more.len() <= START {
                bytes.extend_from_slice(more);
                return Ok(());
            }
            let mut map = map(BATCH_MAX)?;
            let length = bytes.len();
            if let Some(begin) = map.get_mut(..length) {
                begin.copy_from_slice(bytes);
            }
            self.0 = Memory::Mapped { map, length };
        }
        if let Memory::Mapped { map, length } = &mut self.0 {
            let end = *length + more.len();
            let room = map.get_mut(*length..end).ok_or(Cause::Oversized)?;
            room.copy_from_slice(more);
            *length = end;
        }
        Ok(())
    }

    /// Only the first bytes count.
    pub(crate) fn truncate(&mut self, size: usize) {
        match &mut self.0 {
            Memory::Heap(bytes) => bytes.truncate(size),
            Memory::Mapped { length, .. } => *length = size.min(*length),
        }
    }

    /// Gives back what no byte lies in.
    pub(crate) fn shrink(&mut self) {
        if let Memory::Heap(bytes) = &mut self.0 {
            bytes.shrink_to_fit();
        }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Memory::Heap(bytes) => bytes,
            Memory::Mapped { map, length } => map.get_mut(..*length).unwrap_or_default(),
        }
    }

    /// What was unpacked.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Memory::Heap(bytes) => bytes,
            Memory::Mapped { map, length } => map.get(..*length).unwrap_or_default(),
        }
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Memory::Heap(bytes))
    }
}
