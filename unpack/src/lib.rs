//! Unpacks the record batches that producers have packed, within a bound and on account.
//!
//! librdkafka unpacks each batch whole and asks for no limit: 1 MiB of gzip is a gibibyte in memory. On
//! Linux the linker puts the functions of `hook` in the place of its own; elsewhere nothing is replaced.
//! Invariant: what is unpacked and not yet freed never passes `HELD_MAX`, but for a mebibyte a thread.

mod account;
mod buffer;
mod codec;
#[cfg(target_os = "linux")]
mod hook;
mod records;
mod refusal;
mod room;

pub use account::{Account, Numbers};
pub use buffer::Buffer;
pub use codec::Codec;
#[cfg(target_os = "linux")]
pub use hook::{numbers, pass_over};
pub use records::Form;
pub use refusal::{Cause, Refusal};
pub use room::Unpacked;

/// What a batch may cost: its bytes unpacked, and `RECORD_COST` for each of its records. Producers
/// end a batch by what it is packed (Java, 16 KiB unless set) or unpacked (librdkafka, 1 MB), so
/// this takes a setting of 1 MiB and a packing of one to fifteen.
pub const BATCH_MAX: usize = 32 << 20;

/// What all batches together may cost that are unpacked and not yet read.
pub const HELD_MAX: usize = 40 << 20;

/// What librdkafka keeps for each record beside its bytes.
pub const RECORD_COST: usize = 512;

/// Numbers that stand still: nothing is replaced on this system.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn numbers() -> Numbers {
    Numbers::default()
}

/// Does nothing: nothing is refused on this system.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn pass_over(_: &Refusal) -> bool {
    false
}
