//! Where records come from: Kafka, files, standard input, memory.
//!
//! Owns positions and raw bytes; knows nothing of schemas or events. A `Batch` lends its buffers
//! from one poll to the next. Invariant: the records of a partition come in the order of their
//! offsets, each once per assignment, and what cannot be read on is said in a notice, never skipped.

use std::time::Duration;

use self::ledger::LogId;
use crate::model::{Fingerprint, HashKey, WallTime};

pub mod apart;
pub mod file;
pub mod kafka;
pub mod ledger;
pub mod memory;

/// The longest record, in bytes. What is longer is handed out cut one byte after it, so that its
/// reader refuses it and nobody has to hold it.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// A partition of one of the source's topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The topic's number in `Source::topics`.
    pub topic: u16,
    pub number: i32,
}

/// The time a broker keeps with a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stamp {
    /// None: files, or very old brokers.
    #[default]
    None,
    /// The producer's clock, which may be wrong.
    Created(WallTime),
    /// The broker's clock at the append.
    Appended(WallTime),
}

impl Stamp {
    /// A time that the record's events are not later than, but for clocks that differ a little: the
    /// broker's, or where there is only the producer's word, that of the reading.
    #[must_use]
    pub const fn bound(self, read_at: WallTime) -> Option<WallTime> {
        match self {
            Self::None => None,
            Self::Created(_) => Some(read_at),
            Self::Appended(time) => Some(time),
        }
    }
}

/// A named stream of records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topic {
    /// The Kafka topic, the file's path, or `-`.
    pub name: String,
    /// The schema's name if configuration fixes it.
    pub schema: Option<String>,
}

/// One raw record as it lies in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub partition: Partition,
    /// The offset, or the line's number from 1.
    pub offset: i64,
    pub stamp: Stamp,
    /// Empty for a record without a body; no longer than one byte past the limit.
    pub payload: &'a [u8],
    /// The header `event.id` or `ce_id`.
    pub event_id: Option<&'a str>,
    /// The header `traceparent`.
    pub traceparent: Option<&'a str>,
}

impl Record<'_> {
    /// Tells this record from another one at its place. The broker's clock is left out: a log that is
    /// brought back from a mirror has the same records.
    #[must_use]
    pub fn fingerprint(&self, key: &HashKey) -> Fingerprint {
        let created = match self.stamp {
            Stamp::Created(time) => time.0,
            Stamp::None | Stamp::Appended(_) => 0,
        };
        let id = key
            .digest(&[b"record", &created.to_le_bytes(), self.payload])
            .0;
        let (head, _) = id.split_first_chunk().unwrap_or((&[0; 8], &[]));
        Fingerprint(u64::from_le_bytes(*head))
    }
}

/// Something a source has to say that is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Records of a partition are read from `next` on.
    Assigned { partition: Partition, next: i64 },
    /// All records before `next` were read and there are no more for now.
    End { partition: Partition, next: i64 },
    /// There are, or may be, records again after an end that was told: the end is no longer known. Also
    /// of a partition that there is and that cannot be read yet. Comes before the records of its batch.
    Behind { partition: Partition },
    /// The partition is not read on: its log no longer holds what comes next, or that cannot be read.
    /// Nothing is reset or left out.
    Halted {
        partition: Partition,
        next: i64,
        cause: Halt,
    },
    /// As `Halted`, but an operator has accepted the loss: reading goes on at `next` with what the log
    /// still holds, or behind the batch there.
    Accepted {
        partition: Partition,
        next: i64,
        cause: Halt,
    },
    /// Which log it is that the partition is read from.
    Log { partition: Partition, id: LogId },
    /// The brokers no longer name the partition, and an operator has accepted that: it has no place any more.
    /// Should they name it again, it is read from the beginning of its log.
    Gone { partition: Partition },
    /// For long nobody has answered for the partition while others are heard: event time goes on
    /// without it. Taken back by `Behind`, as an end is.
    Silent { partition: Partition },
    /// The partition gave nothing though there was more; the client was made anew.
    Stalled { partition: Partition, next: i64 },
    /// Something passing went wrong; reading goes on by itself.
    Trouble { detail: String },
}

impl Notice {
    /// The same about another partition.
    #[must_use]
    pub fn map(self, lift: impl Fn(Partition) -> Partition) -> Self {
        match self {
            Self::Assigned { partition, next } => Self::Assigned {
                partition: lift(partition),
                next,
            },
            Self::End { partition, next } => Self::End {
                partition: lift(partition),
                next,
            },
            Self::Behind { partition } => Self::Behind {
                partition: lift(partition),
            },
            Self::Log { partition, id } => Self::Log {
                partition: lift(partition),
                id,
            },
            Self::Gone { partition } => Self::Gone {
                partition: lift(partition),
            },
            Self::Silent { partition } => Self::Silent {
                partition: lift(partition),
            },
            Self::Halted {
                partition,
                next,
                cause,
            } => Self::Halted {
                partition: lift(partition),
                next,
                cause,
            },
            Self::Accepted {
                partition,
                next,
                cause,
            } => Self::Accepted {
                partition: lift(partition),
                next,
                cause,
            },
            Self::Stalled { partition, next } => Self::Stalled {
                partition: lift(partition),
                next,
            },
            Self::Trouble { detail } => Self::Trouble { detail },
        }
    }
}

/// Why a partition is no longer read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Halt {
    /// Retention has passed the frontier: the log begins at `low`, so many offsets behind it.
    Expired { low: i64, lost: i64 },
    /// The log ends at `high`, before the frontier: acknowledged records are lost, or the topic
    /// was made anew.
    Truncated { high: i64 },
    /// The brokers no longer name it: the topic was made anew with fewer partitions, or is gone.
    Missing,
    /// The record before the frontier is not the one that was read: the log lost its end, or the topic
    /// was made anew, and has grown past the frontier since.
    Replaced,
    /// The topic was deleted and made anew while it was read.
    Anew,
    /// The broker refused the position and the log's bounds could not be had.
    OutOfRange,
    /// The batch at `offset` unpacks to more than is held at once.
    Oversized { offset: i64 },
    /// The batch at `offset` is not what it says it is packed with, or its checksum does not hold.
    Damaged { offset: i64 },
}

impl Halt {
    /// Whether the log still has what comes next.
    #[must_use]
    pub const fn is_there(self) -> bool {
        matches!(self, Self::Oversized { .. } | Self::Damaged { .. })
    }
}

impl std::fmt::Display for Halt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Expired { low, lost } => {
                write!(f, "its log begins at {low}, {lost} offsets on")
            }
            Self::Truncated { high } => write!(f, "its log ends at {high}"),
            Self::Replaced => f.write_str("the record before it is not the one that was read"),
            Self::Missing => f.write_str("the brokers no longer name it"),
            Self::Anew => f.write_str("its topic was deleted and made anew"),
            Self::OutOfRange => f.write_str("the broker refuses that position"),
            Self::Oversized { offset } => write!(
                f,
                "the batch at {offset} unpacks to more than {} MiB, records and all",
                unpack::BATCH_MAX >> 20
            ),
            Self::Damaged { offset } => write!(f, "the batch at {offset} is damaged"),
        }
    }
}

/// What a poll did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// There are records or notices in the batch.
    Some,
    /// Nothing came within the time given.
    Nothing,
    /// There is nothing and nothing will come.
    End,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    partition: Partition,
    offset: i64,
    stamp: Stamp,
    payload: (usize, usize),
    event_id: Option<(usize, usize)>,
    traceparent: Option<(usize, usize)>,
}

/// Records and notices of one poll, in buffers that are used again.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    pub notices: Vec<Notice>,
}

impl Batch {
    /// No more than this many records go into a batch.
    pub const RECORDS_MAX: usize = 1024;
    /// A batch that has reached this many bytes takes no further record.
    pub const BYTES_MAX: usize = 4 << 20;

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.notices.clear();
    }

    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= Self::RECORDS_MAX || self.bytes.len() >= Self::BYTES_MAX
    }

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.notices.is_empty()
    }

    /// Bytes of all records.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of all records and of what is kept about each: small records are mostly the latter.
    #[must_use]
    pub fn footprint(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>()
    }

    /// A copy without notices, and without room to spare.
    #[must_use]
    pub fn records_only(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            entries: self.entries.clone(),
            notices: Vec::new(),
        }
    }

    /// Copies a record in.
    pub fn push(&mut self, record: Record<'_>) {
        let mut keep = |bytes: &[u8]| {
            let begin = self.bytes.len();
            self.bytes.extend_from_slice(bytes);
            (begin, self.bytes.len())
        };
        let entry = Entry {
            partition: record.partition,
            offset: record.offset,
            stamp: record.stamp,
            payload: keep(record.payload),
            event_id: record.event_id.map(|id| keep(id.as_bytes())),
            traceparent: record.traceparent.map(|t| keep(t.as_bytes())),
        };
        self.entries.push(entry);
    }

    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let bytes = |(begin, end): (usize, usize)| self.bytes.get(begin..end).unwrap_or_default();
        let text = move |range| std::str::from_utf8(bytes(range)).ok();
        self.entries.iter().map(move |e| Record {
            partition: e.partition,
            offset: e.offset,
            stamp: e.stamp,
            payload: bytes(e.payload),
            event_id: e.event_id.and_then(text),
            traceparent: e.traceparent.and_then(text),
        })
    }
}

/// How far one partition is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    pub partition: Partition,
    /// The next offset to be read.
    pub next: i64,
    /// Records in the log from there on, as far as is known.
    pub records: i64,
}

/// Why a source cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot open {name}: {cause}")]
    Open { name: String, cause: std::io::Error },
    #[error("cannot read {name} after line {line}: {cause}")]
    Read {
        name: String,
        line: i64,
        cause: std::io::Error,
    },
    #[error("kafka settings: {0}")]
    Settings(String),
    #[error("kafka: {0}")]
    Kafka(String),
    #[error("the source's thread has died; the log says of what")]
    Died,
}

/// A stream of records. Used by one thread.
pub trait Source {
    /// The topics by their numbers.
    fn topics(&self) -> &[Topic];

    /// Adds records and notices to the batch until it is full or nothing more is at hand; waits for
    /// the first of them no longer than `wait` (a file or pipe may block longer).
    ///
    /// # Errors
    /// If the source as a whole cannot go on. What was read before is in the batch.
    fn poll(&mut self, batch: &mut Batch, wait: Duration) -> Result<Polled, Error>;

    /// Tells the outside how far state has come, where anybody can hear it. A gauge for others; never
    /// read back.
    fn publish(&mut self, _frontier: &ledger::Frontier) {}

    /// Whether what it reads from answers: where that is so, this machine is not cut off.
    fn is_heard(&self) -> bool {
        false
    }

    /// Tells it whether another source is heard: then one whose brokers are all silent need not be waited for.
    fn beside(&mut self, _heard: bool) {}

    /// How far each partition is behind; empty where that is not known.
    fn lag(&self) -> Vec<Lag> {
        Vec::new()
    }
}
