//! Where records come from: Kafka, files, standard input, memory. One trait for all.
//!
//! A source hands out raw records in batches whose buffers are used again, and says what it knows
//! about its partitions. It never decodes, and it never moves a position by itself: the frontier
//! it starts from is given, and what it cannot read from there it reports.

pub mod file;
pub mod memory;

use std::time::Duration;

use crate::engine::exchange::Origin;
use crate::model::EventTime;

/// One record of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    start: usize,
    len: usize,
    /// `origin.source` is the index of the stream in `Source::streams`.
    pub origin: Origin,
    /// When the broker took it, which bounds what its events may say; `None` in files.
    pub broker_time: Option<EventTime>,
}

/// Records and news, in buffers that are used again.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    pub records: Vec<Record>,
    /// What the source has to say; it holds once the batch's records have been taken in.
    pub notices: Vec<Notice>,
}

impl Batch {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.notices.clear();
    }

    /// Adds a record by copying it.
    pub fn push(&mut self, payload: &[u8], origin: Origin, broker_time: Option<EventTime>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        self.records.push(Record { start, len: payload.len(), origin, broker_time });
    }

    #[must_use]
    pub fn payload(&self, record: &Record) -> &[u8] {
        self.bytes.get(record.start..record.start + record.len).unwrap_or_default()
    }

    /// Bytes of all payloads.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    #[must_use]
    pub fn is_full(&self) -> bool {
        self.records.len() >= RECORDS_MAX || self.bytes.len() >= BYTES_MAX
    }
}

/// A batch holds at most this many records ...
pub const RECORDS_MAX: usize = 4096;
/// ... and begins no further one beyond this many bytes.
pub const BYTES_MAX: usize = 2 << 20;

/// What a source knows about a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It will be read from `next` on.
    Assigned { source: u16, partition: i32, next: i64 },
    /// It has been read to its end, and not because it was paused.
    EndOfLog { source: u16, partition: i32 },
    /// It cannot be read on: the log no longer reaches to where we stand, or is another one. It
    /// stays stopped until an operator decides.
    Stopped { source: u16, partition: i32, reason: String },
    /// Something passing, for the log: a broker away, a stall that was mended.
    Trouble { reason: String },
}

/// What `Source::poll` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// There are records or notices in the batch.
    Some,
    /// Nothing came in time.
    Nothing,
    /// Nothing will ever come again.
    End,
}

/// A named stream of records: a topic, a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    pub name: String,
    /// The schema of its records; `None` is told apart by shape.
    pub schema: Option<String>,
}

/// A source of records.
pub trait Source: Send {
    /// Its streams; `Origin::source` counts them.
    fn streams(&self) -> &[Stream];

    /// Fills a cleared batch with what there is, waiting for the first record at most `wait`.
    ///
    /// # Errors
    /// The source is gone for good; see the error's class.
    fn poll(&mut self, batch: &mut Batch, wait: Duration) -> Result<Polled, SourceError>;

    /// Tells how far the state reaches (stream, partition, next offset), for whoever watches lag.
    fn commit(&mut self, _frontier: &[(u16, i32, i64)]) {}

    /// Records that are known to wait beyond what was handed out, per stream and partition.
    fn lag(&mut self) -> Vec<(u16, i32, u64)> {
        Vec::new()
    }
}

/// Why a source has ended.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("cannot read {name}: {error}")]
    Io { name: String, error: std::io::Error },
    #[error("{0}")]
    Broker(String),
    #[error("{0}")]
    Settings(String),
}
