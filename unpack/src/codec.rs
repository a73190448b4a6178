//! Kafka's four ways to pack, and what unpacks them: decoders of other crates, none of which is given more
//! room than the account has.
//!
//! Invariant: whatever the bytes are, the answer is what they unpack to, or why not.

use std::io::{BufRead, Read};
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use zstd::zstd_safe::{self, zstd_sys::ZSTD_ErrorCode};

use crate::BATCH_MAX;
use crate::account::{Account, START};
use crate::records::Form;
use crate::refusal::Cause;
use crate::room::{Room, Unpacked};

/// How a batch is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Gzip,
    Lz4,
    /// Whole, or in snappy-java's chunks without their head.
    Snappy {
        in_chunks: bool,
    },
    Zstd,
}

impl Codec {
    /// Their names, for metrics.
    pub const NAMES: [&'static str; 4] = ["gzip", "lz4", "snappy", "zstd"];

    /// Its place among the names.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Gzip => 0,
            Self::Lz4 => 1,
            Self::Snappy { .. } => 2,
            Self::Zstd => 3,
        }
    }

    /// Unpacks a batch of records in this form, and waits for room no longer than `patience`.
    ///
    /// # Errors
    /// Why it cannot be unpacked, or not now.
    pub fn unpack(
        self,
        packed: &[u8],
        form: Form,
        account: &Account,
        patience: Duration,
    ) -> Result<Unpacked, Cause> {
        let beside = match self {
            Self::Lz4 => lz4_buffers(packed)?,
            Self::Gzip | Self::Snappy { .. } | Self::Zstd => 0,
        };
        let mut room = Room::begin(account, beside, patience)?;
        match self {
            Self::Gzip => gzip(packed, &mut room)?,
            Self::Lz4 => lz4(packed, &mut room)?,
            Self::Snappy { in_chunks: false } => snappy(std::iter::once(Ok(packed)), &mut room)?,
            Self::Snappy { in_chunks: true } => snappy(chunks(packed), &mut room)?,
            Self::Zstd => zstd(packed, &mut room)?,
        }
        room.finish(form)
    }
}

fn gzip(packed: &[u8], room: &mut Room<'_>) -> Result<(), Cause> {
    let mut decoder = MultiGzDecoder::new(packed);
    let mut piece = [0; 16 << 10];
    loop {
        match decoder.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => room.push(piece.get(..length).unwrap_or_default())?,
            Err(_) => return Err(Cause::Damaged),
        }
    }
}

/// What the decoder holds of a frame: a block packed and, where blocks rest on those before them, a little
/// more than two unpacked. Frames of the legacy format are none of Kafka's.
fn lz4_buffers(packed: &[u8]) -> Result<usize, Cause> {
    let &[0x04, 0x22, 0x4d, 0x18, _, sizes, ..] = packed else {
        return Err(Cause::Damaged);
    };
    // 4 is 64 KiB, each next one four times as much, 7 the largest.
    let block = 1 << (8 + 2 * (sizes >> 4 & 7));
    Ok(4 * block)
}

fn lz4(packed: &[u8], room: &mut Room<'_>) -> Result<(), Cause> {
    let mut decoder = FrameDecoder::new(packed);
    loop {
        let piece = decoder.fill_buf().map_err(|_| Cause::Damaged)?;
        if piece.is_empty() {
            break;
        }
        room.push(piece)?;
        let length = piece.len();
        decoder.consume(length);
    }
    // A second frame might have larger blocks than the first one said.
    let is_read = decoder.get_ref().is_empty();
    is_read.then_some(()).ok_or(Cause::Damaged)
}

/// Splits what snappy-java has packed: each chunk stands behind its length.
fn chunks(packed: &[u8]) -> impl Iterator<Item = Result<&[u8], Cause>> + Clone {
    let mut rest = packed;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let chunk = rest.split_first_chunk().and_then(|(length, behind)| {
            behind.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
        });
        let (chunk, behind) = chunk.map_or((Err(Cause::Damaged), &[][..]), |(c, b)| (Ok(c), b));
        rest = behind;
        Some(chunk)
    })
}

fn snappy<'a>(
    parts: impl Iterator<Item = Result<&'a [u8], Cause>> + Clone,
    room: &mut Room<'_>,
) -> Result<(), Cause> {
    let mut size = 0usize;
    for part in parts.clone() {
        let length = snap::raw::decompress_len(part?).map_err(|_| Cause::Damaged)?;
        size = size.saturating_add(length);
    }
    let mut rest = room.whole(size)?;
    for part in parts {
        let length = snap::raw::Decoder::new().decompress(part?, rest);
        let length = length.map_err(|_| Cause::Damaged)?;
        rest = rest.get_mut(length..).unwrap_or_default();
    }
    Ok(())
}

/// Straight into the batch's own buffer: the decoder needs no window then, whose size the packer chooses.
fn zstd(packed: &[u8], room: &mut Room<'_>) -> Result<(), Cause> {
    let said = zstd_safe::get_frame_content_size(packed).map_err(|_| Cause::Damaged)?;
    let mut size = said.map_or(START, |size| usize::try_from(size).unwrap_or(usize::MAX));
    let mut decoder = zstd_safe::DCtx::try_create().ok_or(Cause::Busy)?;
    let too_small = ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall as usize;
    loop {
        match decoder.decompress(room.whole(size)?, packed) {
            Ok(size) => {
                room.truncate(size);
                return Ok(());
            }
            Err(error) if error != too_small.wrapping_neg() => return Err(Cause::Damaged),
            Err(_) if size == BATCH_MAX => return Err(Cause::Oversized),
            Err(_) => size = size.saturating_mul(2).clamp(START, BATCH_MAX),
        }
    }
}

#[cfg(test)]
mod tests;
