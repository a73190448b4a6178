//! Stands where librdkafka calls its own functions to unpack (the linker's `--wrap`, build.rs).
//!
//! Owns who may be let past, which buffers librdkafka holds, and every word that is spoken with it. The only
//! unsafe code there is. Signatures and what follows a call are those of librdkafka 2.12.1,
//! `rdkafka_msgset_reader.c`. Invariant: a buffer is freed once, by `free`, and its cost given back then.

#![allow(unsafe_code, reason = "the other side is C")]
#![expect(clippy::disallowed_methods, reason = "times how long it waits")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{NonNull, null_mut};
use std::slice;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka_sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__BAD_COMPRESSION;
use rdkafka_sys::{RDKafkaTopicPartition, rd_kafka_topic_partition_destroy};

use crate::{Account, Buffer, Cause, Codec, Form, HELD_MAX, Numbers, Refusal, Unpacked};

/// How long a broker's thread waits for room. Meanwhile it answers no question, and those that are asked
/// wait three seconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// An error's code: a number, since brokers give some that no list has.
type Code = c_int;
const FINE: Code = 0;
const BAD: Code = RD_KAFKA_RESP_ERR__BAD_COMPRESSION as Code;

/// A record from before all others, which librdkafka leaves out: 11 bytes, of which are attributes, time
/// and an offset 2^62 before the batch's first.
const PAST: [u8; 12] = [22, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 127];

static ACCOUNT: Account = Account::new(HELD_MAX);
static DESK: Mutex<Desk> = Mutex::new(Desk {
    refusals: 0,
    permits: BTreeMap::new(),
    lent: BTreeMap::new(),
});

/// What all threads share.
struct Desk {
    /// The number of the last refusal.
    refusals: u64,
    /// By topic and partition. No more than somebody has accepted the loss of.
    permits: BTreeMap<(String, i32), Permit>,
    /// What librdkafka holds, by its address. As many as the account has room for.
    lent: BTreeMap<usize, Lent>,
}

enum Permit {
    Granted,
    /// The number of the last refusal when it was used.
    Used(u64),
}

struct Lent {
    /// librdkafka reads what lies in it.
    buffer: Buffer,
    cost: usize,
}

thread_local! {
    /// The partition whose batches are being read.
    static PARTITION: Cell<*mut c_void> = const { Cell::new(null_mut()) };
    /// How records follow one another in the batch being read.
    static FORM: Cell<Form> = const { Cell::new(Form::Records) };
    /// Why the batch just met was not unpacked, until librdkafka asks what its error means.
    static REFUSED: RefCell<Option<Refusal>> = const { RefCell::new(None) };
    /// What it was told then.
    static TEXT: RefCell<CString> = RefCell::default();
    /// The buffer that librdkafka has made for snappy, and the one to be taken instead.
    static INSTEAD: Cell<Option<(*const c_void, Handed)>> = const { Cell::new(None) };
    /// When waiting was last in vain.
    static IN_VAIN: Cell<Option<Instant>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct Handed {
    start: *mut c_void,
    size: usize,
}

unsafe extern "C" {
    #[link_name = "__real_rd_kafka_buf_new_shadow"]
    fn real_new_shadow(start: *const c_void, size: usize, free: Free) -> *mut c_void;
    #[link_name = "__real_rd_slice_crc32"]
    fn real_crc32(slice: *mut c_void) -> u32;
    #[link_name = "__real_rd_slice_crc32c"]
    fn real_crc32c(slice: *mut c_void) -> u32;
    #[link_name = "__real_rd_kafka_err2str"]
    fn real_err2str(error: Code) -> *const c_char;
    #[link_name = "__real_rd_kafka_msgset_parse"]
    fn real_msgset_parse(
        answer: *mut c_void,
        request: *mut c_void,
        partition: *mut c_void,
        aborted: *mut c_void,
        version: *const c_void,
    ) -> Code;
    fn rd_kafka_topic_partition_new_from_rktp(partition: *mut c_void)
    -> *mut RDKafkaTopicPartition;
}

type Free = Option<unsafe extern "C" fn(*mut c_void)>;

fn desk() -> MutexGuard<'static, Desk> {
    DESK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the account of this process has to tell.
#[must_use]
pub fn numbers() -> Numbers {
    ACCOUNT.numbers()
}

/// Lets the refused batch past, without its records, when it comes again: somebody accepts their loss. False
/// if one is to be let past already, or has been since that refusal, which then was none of what comes next.
#[must_use]
pub fn pass_over(refusal: &Refusal) -> bool {
    let place = (refusal.topic.clone(), refusal.partition);
    let mut desk = desk();
    let permit = desk.permits.get(&place);
    let is_new = match permit {
        None => true,
        // The same batch once more, fetched again before it was met.
        Some(Permit::Granted) => false,
        Some(Permit::Used(last)) => refusal.number > *last,
    };
    if is_new {
        desk.permits.insert(place, Permit::Granted);
    }
    is_new
}

/// Unpacks for librdkafka. A decoder that panics has met damage.
fn unpack(codec: Codec, packed: &[u8]) -> Option<Handed> {
    let in_vain = IN_VAIN.get().is_some_and(|at| at.elapsed() < PATIENCE);
    let patience = if in_vain { Duration::ZERO } else { PATIENCE };
    let unpacked = catch_unwind(AssertUnwindSafe(|| {
        codec.unpack(packed, FORM.get(), &ACCOUNT, patience)
    }));
    match unpacked.unwrap_or(Err(Cause::Damaged)) {
        Ok(unpacked) => {
            ACCOUNT.note(|n| {
                if let Some(count) = n.unpacked.get_mut(codec.index()) {
                    *count += 1;
                }
            });
            Some(lend(unpacked))
        }
        Err(cause) => refuse(cause),
    }
}

/// Hands a buffer out, to be freed by `free`. Its bytes stay where they are while it is on the list.
fn lend(unpacked: Unpacked) -> Handed {
    let Unpacked { mut buffer, cost } = unpacked;
    let bytes = buffer.bytes_mut();
    let handed = Handed {
        start: bytes.as_mut_ptr().cast(),
        size: bytes.len(),
    };
    let lent = Lent { buffer, cost };
    desk().lent.insert(handed.start.addr(), lent);
    handed
}

/// Notes why, for `__wrap_rd_kafka_err2str`. A batch whose loss is accepted becomes one without records.
fn refuse(cause: Cause) -> Option<Handed> {
    let (topic, partition) = place();
    let mut desk = desk();
    let last = desk.refusals;
    if cause != Cause::Busy
        && let Some(permit) = desk.permits.get_mut(&(topic.clone(), partition))
        && matches!(permit, Permit::Granted)
    {
        *permit = Permit::Used(last);
        drop(desk);
        ACCOUNT.note(|n| n.passed_over += 1);
        return Some(lend(Unpacked {
            buffer: PAST.to_vec().into(),
            cost: 0,
        }));
    }
    desk.refusals = last + 1;
    drop(desk);
    if cause == Cause::Busy {
        IN_VAIN.set(Some(Instant::now()));
    }
    ACCOUNT.note(|n| {
        if let Some(count) = n.refused.get_mut(cause as usize) {
            *count += 1;
        }
    });
    REFUSED.set(Some(Refusal {
        topic,
        partition,
        offset: 0,
        cause,
        number: last + 1,
    }));
    None
}

/// The topic and partition being read.
fn place() -> (String, i32) {
    let Some(partition) = NonNull::new(PARTITION.get()) else {
        return (String::new(), -1);
    };
    // SAFETY: set from `__wrap_rd_kafka_msgset_parse` only while librdkafka is in it, with its own reference. What
    // comes back is ours, its topic a text that ends with a zero, and neither is used after it is destroyed.
    unsafe {
        let found = rd_kafka_topic_partition_new_from_rktp(partition.as_ptr());
        let topic = CStr::from_ptr((*found).topic)
            .to_string_lossy()
            .into_owned();
        let number = (*found).partition;
        rd_kafka_topic_partition_destroy(found);
        (topic, number)
    }
}

/// Bytes that librdkafka lends for a call.
///
/// # Safety
/// There are that many bytes, and nobody writes to them meanwhile.
unsafe fn bytes<'a>(start: *const c_void, size: usize) -> &'a [u8] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: as above.
    unsafe { slice::from_raw_parts(start.cast(), size) }
}

/// Frees a buffer that `lend` handed out.
extern "C" fn free(start: *mut c_void) {
    let lent = desk().lent.remove(&start.addr());
    if let Some(Lent { buffer, cost }) = lent {
        drop(buffer);
        ACCOUNT.give_back(cost);
    }
}

/// Reads the batches of one partition in an answer. Here we learn which.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafka_msgset_parse(
    answer: *mut c_void,
    request: *mut c_void,
    partition: *mut c_void,
    aborted: *mut c_void,
    version: *const c_void,
) -> Code {
    PARTITION.set(partition);
    // SAFETY: handed on as it came.
    let result = unsafe { real_msgset_parse(answer, request, partition, aborted, version) };
    PARTITION.set(null_mut());
    result
}

/// The checksum of a message, of formats 0 and 1. It is taken before each is unpacked (`check.crcs`).
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_slice_crc32(slice: *mut c_void) -> u32 {
    FORM.set(Form::Messages);
    // SAFETY: handed on as it came.
    unsafe { real_crc32(slice) }
}

/// The checksum of a batch, of format 2.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_slice_crc32c(slice: *mut c_void) -> u32 {
    FORM.set(Form::Records);
    // SAFETY: handed on as it came.
    unsafe { real_crc32c(slice) }
}

/// What an error means: of a batch that we have just refused, what we know of it. Asked once behind each.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafka_err2str(error: Code) -> *const c_char {
    if error == BAD
        && let Some(refusal) = REFUSED.take()
        && let Ok(text) = CString::new(refusal.to_string())
    {
        return TEXT.with_borrow_mut(|kept| {
            *kept = text;
            kept.as_ptr()
        });
    }
    // SAFETY: handed on as it came.
    unsafe { real_err2str(error) }
}

/// Makes what was unpacked a buffer of librdkafka's, which frees it with its last record.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafka_buf_new_shadow(
    start: *const c_void,
    size: usize,
    free_other: Free,
) -> *mut c_void {
    if let Some((other, buffer)) = INSTEAD.take() {
        if other == start {
            // SAFETY: librdkafka's own buffer and what frees it; nobody else knows it.
            unsafe {
                if let Some(free_other) = free_other {
                    free_other(start.cast_mut());
                }
                return real_new_shadow(buffer.start, buffer.size, Some(free));
            }
        }
        free(buffer.start);
    }
    let is_ours = desk().lent.contains_key(&start.addr());
    let free: Free = if is_ours { Some(free) } else { free_other };
    // SAFETY: handed on as it came, with what frees it.
    unsafe { real_new_shadow(start, size, free) }
}

/// Gives a buffer and its size, or null.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_gz_decompress(
    packed: *const c_void,
    length: c_int,
    size: *mut u64,
) -> *mut c_void {
    let length = usize::try_from(length).unwrap_or(0);
    // SAFETY: a batch in an answer that librdkafka holds, and where it wants the size.
    unsafe {
        let buffer = unpack(Codec::Gzip, bytes(packed, length));
        *size = buffer.map_or(0, |b| b.size as u64);
        buffer.map_or(null_mut(), |b| b.start)
    }
}

/// Gives a buffer and its size, or an error. What is `false` for `is_proper` are messages from before Kafka 0.10,
/// whose frames have a wrong checksum: they count as damaged.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafka_lz4_decompress(
    _broker: *mut c_void,
    _is_proper: c_int,
    _offset: i64,
    packed: *mut c_char,
    length: usize,
    start: *mut *mut c_void,
    size: *mut usize,
) -> Code {
    // SAFETY: a batch in an answer that librdkafka holds, and where it wants what became of it.
    unsafe {
        give(
            unpack(Codec::Lz4, bytes(packed.cast(), length)),
            start,
            size,
        )
    }
}

/// Gives a buffer and its size, or an error.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafka_zstd_decompress(
    _broker: *mut c_void,
    packed: *mut c_char,
    length: usize,
    start: *mut *mut c_void,
    size: *mut usize,
) -> Code {
    // SAFETY: as for lz4.
    unsafe {
        give(
            unpack(Codec::Zstd, bytes(packed.cast(), length)),
            start,
            size,
        )
    }
}

/// # Safety
/// Both places may be written to.
unsafe fn give(buffer: Option<Handed>, start: *mut *mut c_void, size: *mut usize) -> Code {
    // SAFETY: as above.
    unsafe {
        *start = buffer.map_or(null_mut(), |b| b.start);
        *size = buffer.map_or(0, |b| b.size);
    }
    buffer.map_or(BAD, |_| FINE)
}

/// Gives a buffer and its size, or null and a text.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafka_snappy_java_uncompress(
    packed: *const c_char,
    length: usize,
    size: *mut usize,
    text: *mut c_char,
    text_size: usize,
) -> *mut c_char {
    // SAFETY: a batch in an answer that librdkafka holds, where it wants the size, and room for a text.
    unsafe {
        if text_size > 0 {
            *text = 0;
        }
        let codec = Codec::Snappy { in_chunks: true };
        let buffer = unpack(codec, bytes(packed.cast(), length));
        *size = buffer.map_or(0, |b| b.size);
        buffer.map_or(null_mut(), |b| b.start.cast())
    }
}

/// Asked how large a buffer to make for snappy. One byte will do: ours is taken instead.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafka_snappy_uncompressed_length(
    _packed: *const c_char,
    _length: usize,
    size: *mut usize,
) -> bool {
    // SAFETY: where librdkafka wants the size.
    unsafe { *size = 1 };
    true
}

/// Asked to fill that buffer; 0 if it was done. `__wrap_rd_kafka_buf_new_shadow` follows, unless it was not.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafka_snappy_uncompress(
    packed: *const c_char,
    length: usize,
    start: *mut c_char,
) -> c_int {
    // SAFETY: a batch in an answer that librdkafka holds.
    let packed = unsafe { bytes(packed.cast(), length) };
    let Some(buffer) = unpack(Codec::Snappy { in_chunks: false }, packed) else {
        return -1;
    };
    INSTEAD.set(Some((start.cast_const().cast(), buffer)));
    0
}
