//! The threads of stage 1: one reads the source, a few decode, and their work comes out in the
//! order it was read.
//!
//! All channels are bounded: when the engine is slow, decoding waits, then reading waits, then the
//! broker keeps what it has. Buffers travel in a circle, so a steady stream allocates nothing.

#![expect(
    clippy::disallowed_methods,
    reason = "stamps batches with the time they were read"
)]

mod decode;
mod orders;
mod read;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use self::decode::Decoding;
use self::orders::Orders;
use self::read::Reader;
use super::sample::Sample;
use super::shelf::Shelf;
use crate::decode::{DeadLetter, Schema};
use crate::engine::exchange::{Origin, Routed};
use crate::engine::program::Program;
use crate::enrich::Tables;
use crate::model::event::Projection;
use crate::model::{Fingerprint, WallTime};
use crate::source::ledger::Frontier;
use crate::source::{Batch, Error, Lag, Notice, Partition, Source};

/// How long the reader waits for a first record before it looks for orders.
const POLL: Duration = Duration::from_millis(50);

/// What stage 1 needs of the detectors in force.
#[derive(Debug)]
pub struct Rules {
    pub program: Arc<Program>,
    /// The fields to decode.
    pub projection: Projection,
}

impl Rules {
    /// For these detectors over these tables.
    #[must_use]
    pub fn new(program: Arc<Program>, tables: &Tables) -> Arc<Self> {
        let projection = program.projection(&tables.needs());
        Arc::new(Self {
            program,
            projection,
        })
    }
}

/// One batch after stage 1.
#[derive(Debug)]
pub struct Intake {
    /// What it was routed by: the engine goes over to them with the first batch that is.
    pub rules: Arc<Rules>,
    pub routed: Routed,
    pub dead: Vec<(Origin, DeadLetter)>,
    pub notices: Vec<Notice>,
    /// Of each partition the last record that moves the frontier.
    pub last: Vec<(Partition, i64, Fingerprint)>,
    /// Per source: records and their bytes.
    pub received: Vec<(u64, u64)>,
    pub read_at: Instant,
    /// The same by the clock.
    pub clock: WallTime,
}

/// What `Pipeline::next` gives.
#[derive(Debug)]
pub enum Next {
    Intake(Box<Intake>),
    /// Nothing came in time.
    Nothing,
    /// The source has ended, and everything it gave has been handed out.
    End,
    Failed(Error),
}

/// A batch after stage 1, with its number.
type Done = Result<(u64, Box<Intake>), Error>;

struct Job {
    seq: u64,
    rules: Arc<Rules>,
    batch: Batch,
    read_at: Instant,
    clock: WallTime,
}

/// See the module's text.
pub struct Pipeline {
    done: Receiver<Done>,
    spare: Sender<Box<Intake>>,
    orders: Arc<Orders>,
    ended: Receiver<Result<(), Error>>,
    waiting: BTreeMap<u64, Box<Intake>>,
    next: u64,
    threads: Vec<JoinHandle<()>>,
}

/// What stage 1 works with; both may be replaced while it runs.
pub struct Parts {
    pub rules: Arc<Shelf<Rules>>,
    pub tables: Arc<Shelf<Tables>>,
    /// Keeps the newest records, if anybody wants them.
    pub sample: Option<Arc<Sample>>,
}

impl Pipeline {
    /// Starts reading and decoding with this many decoding threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        source: Box<dyn Source + Send>,
        parts: &Parts,
        decoders: usize,
    ) -> std::io::Result<Self> {
        let decoders = decoders.max(1);
        let hints: Arc<[Option<Schema>]> = hints(&*source).into();
        let (jobs_in, jobs) = bounded::<Job>(decoders);
        let (done_in, done) = bounded(decoders * 2);
        let (spare, spares) = bounded(decoders * 4);
        let (empty_in, empties) = bounded(decoders * 4);
        let orders = Arc::new(Orders::default());
        let (ended_in, ended) = bounded(1);
        let mut threads = Vec::new();
        for index in 0..decoders {
            let decoding = Decoding {
                hints: Arc::clone(&hints),
                tables: Arc::clone(&parts.tables),
                jobs: jobs.clone(),
                done: done_in.clone(),
                spares: spares.clone(),
                empties: empty_in.clone(),
            };
            let rules = parts.rules.get();
            threads.push(
                std::thread::Builder::new()
                    .name(format!("decode-{index}"))
                    .spawn(move || decoding.run(rules))?,
            );
        }
        let reader = Reader {
            source,
            rules: Arc::clone(&parts.rules),
            sample: parts.sample.clone(),
            jobs: jobs_in,
            empties,
            orders: Arc::clone(&orders),
        };
        let read = move || {
            let _gone = ended_in.send(reader.run());
        };
        threads.push(
            std::thread::Builder::new()
                .name("source".to_owned())
                .spawn(read)?,
        );
        Ok(Self {
            done,
            spare,
            orders,
            ended,
            waiting: BTreeMap::new(),
            next: 0,
            threads,
        })
    }

    /// The next batch in the order it was read.
    pub fn next(&mut self, wait: Duration) -> Next {
        loop {
            if let Some(intake) = self.waiting.remove(&self.next) {
                self.next += 1;
                return Next::Intake(intake);
            }
            match self.done.recv_timeout(wait) {
                Ok(Ok((seq, intake))) => drop(self.waiting.insert(seq, intake)),
                Ok(Err(error)) => return Next::Failed(error),
                Err(RecvTimeoutError::Timeout) => return Next::Nothing,
                // All threads are gone: the source has ended.
                Err(RecvTimeoutError::Disconnected) => {
                    return match self.ended.recv() {
                        Ok(Ok(())) => Next::End,
                        Ok(Err(error)) => Next::Failed(error),
                        // It said nothing: it panicked.
                        Err(_) => Next::Failed(Error::Died),
                    };
                }
            }
        }
    }

    /// Gives a batch's buffers back.
    pub fn recycle(&self, intake: Box<Intake>) {
        let _full = self.spare.try_send(intake);
    }

    /// Tells the source how far the state reaches.
    pub fn publish(&self, frontier: Frontier) {
        self.orders.publish(frontier);
    }

    /// What is known to wait in the source; from the last answer, and asks anew.
    pub fn lag(&self) -> Option<Vec<Lag>> {
        self.orders.ask_lag()
    }

    /// Stops reading; what has been read still comes out of `next` until `End`.
    pub fn stop(&self) {
        self.orders.stop();
    }

    /// Stops, and waits for all threads; what `next` has not given by now is dropped.
    pub fn join(mut self) {
        self.stop();
        // Decoders that wait for somebody to take their work end by it.
        self.done = crossbeam_channel::never();
        for thread in self.threads.drain(..) {
            let _panicked = thread.join();
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Intake {
    /// Records of all sources.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.received.iter().map(|(records, _)| records).sum()
    }

    /// Bytes of all sources.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.received.iter().map(|(_, bytes)| bytes).sum()
    }

    fn count(&mut self, source: u16, bytes: usize) {
        let source = usize::from(source);
        if self.received.len() <= source {
            self.received.resize(source + 1, (0, 0));
        }
        let (records, sum) = &mut self.received[source];
        *records += 1;
        *sum += bytes as u64;
    }

    /// Empties it for the next batch, which was read then and is routed by these rules.
    pub fn begin(&mut self, rules: &Arc<Rules>, read_at: Instant, clock: WallTime) {
        self.rules = Arc::clone(rules);
        self.routed.clear();
        self.dead.clear();
        self.notices.clear();
        self.last.clear();
        self.received.clear();
        self.read_at = read_at;
        self.clock = clock;
    }

    /// An empty one.
    #[must_use]
    pub fn fresh(rules: &Arc<Rules>) -> Box<Self> {
        Box::new(Self {
            rules: Arc::clone(rules),
            routed: Routed::default(),
            dead: Vec::new(),
            notices: Vec::new(),
            last: Vec::new(),
            received: Vec::new(),
            read_at: Instant::now(),
            clock: WallTime(0),
        })
    }
}

/// The schemas that a source's topics are configured to have, by their numbers.
#[must_use]
pub fn hints(source: &(impl Source + ?Sized)) -> Vec<Option<Schema>> {
    let topics = source.topics().iter();
    topics
        .map(|t| t.schema.as_deref().and_then(Schema::parse))
        .collect()
}

#[cfg(test)]
mod tests;
