//! The partitioned log that outlives every process, and the source that reads it.
//!
//! Owns what a broker owns: records with offsets and times, a first offset that retention moves, an
//! end that may be lost. The reader keeps the contract of `Source`; where it begins is the
//! product's own judgement (`kafka::place`).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use tidegate::model::WallTime;
use tidegate::source::kafka::{Start, place};
use tidegate::source::ledger::Frontier;
use tidegate::source::{
    Batch, Error, Halt, Notice, Partition, Polled, Record, Source, Stamp, Topic,
};

use crate::random::Random;

pub const TOPIC: &str = "events";

/// One record as the producer wrote it.
#[derive(Clone, Debug)]
pub struct Written {
    pub stamp: Option<i64>,
    pub payload: String,
    /// How many events it holds; none for garbage.
    pub events: u64,
    /// It repeats an earlier event, or comes too late for windows.
    pub duplicate: bool,
    pub late: bool,
    /// The workload's facts in it, by index.
    pub facts: Vec<usize>,
}

#[derive(Clone, Debug, Default)]
pub struct Lane {
    pub low: i64,
    pub records: Vec<Written>,
    /// Per record what it and those before it hold.
    sums: Vec<Sum>,
}

/// How much a part of the log holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    pub events: u64,
    pub duplicates: u64,
    pub late: u64,
}

impl Lane {
    pub fn append(&mut self, record: Written) {
        let mut sum = self.sums.last().copied().unwrap_or_default();
        sum.events += record.events;
        sum.duplicates += u64::from(record.duplicate);
        sum.late += u64::from(record.late && !record.duplicate);
        self.records.push(record);
        self.sums.push(sum);
    }

    /// Loses everything from this offset on.
    pub fn cut(&mut self, high: i64) {
        self.records.truncate(usize::try_from(high).unwrap());
        self.sums.truncate(usize::try_from(high).unwrap());
    }

    /// What the records before an offset hold.
    pub fn before(&self, next: i64) -> Sum {
        let last = usize::try_from(next)
            .unwrap()
            .min(self.sums.len())
            .checked_sub(1);
        last.map_or_else(Sum::default, |at| self.sums[at])
    }

    /// The records from one offset to before another, as far as they are there.
    pub fn part(&self, from: i64, to: i64) -> &[Written] {
        let place = |offset: i64| usize::try_from(offset).unwrap().min(self.records.len());
        self.records.get(place(from)..place(to)).unwrap_or_default()
    }

    pub fn high(&self) -> i64 {
        i64::try_from(self.records.len()).unwrap()
    }
}

/// The log itself, shared by the world and whoever reads at the time.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub lanes: Vec<Lane>,
    /// Partitions whose leader is gone: nothing can be read from them.
    pub lost: BTreeSet<usize>,
}

pub type SharedLog = Rc<RefCell<Log>>;

/// Reads the log from a frontier on.
pub struct Reader {
    log: SharedLog,
    topics: Vec<Topic>,
    /// Per partition: the next offset and whether its end was told; none if halted.
    next: BTreeMap<usize, (i64, bool)>,
    begun: Vec<Notice>,
    random: Random,
    paused: bool,
    /// How far state has come, as it was told last in this life.
    pub published: Option<Frontier>,
    /// Records in a batch.
    pub records_max: usize,
}

impl Reader {
    pub fn open(log: SharedLog, frontier: &Frontier, random: Random) -> Self {
        let (mut next, mut begun) = (BTreeMap::new(), Vec::new());
        for (number, lane) in log.borrow().lanes.iter().enumerate() {
            let partition = partition(number);
            let kept = frontier.next(TOPIC, partition.number);
            let bounds = (lane.low, lane.high());
            match place::begin(kept, frontier.knows(TOPIC), bounds, Start::Earliest) {
                Ok(at) => {
                    next.insert(number, (at, false));
                    begun.push(Notice::Assigned {
                        partition,
                        next: at,
                    });
                }
                Err(cause) => {
                    let next = kept.unwrap_or(0);
                    begun.push(Notice::Halted {
                        partition,
                        next,
                        cause,
                    });
                }
            }
        }
        let topics = vec![Topic {
            name: TOPIC.to_owned(),
            schema: None,
        }];
        Self {
            log,
            topics,
            next,
            begun,
            random,
            paused: false,
            published: None,
            records_max: 100,
        }
    }

    /// Gives nothing, nor knows an end, until `resume`: as where nothing can be heard.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    pub fn resume(&mut self) {
        self.paused = false;
    }

    /// Takes back ends that are none any more.
    fn take_back(
        next: &mut BTreeMap<usize, (i64, bool)>,
        log: &Log,
        blind: bool,
        batch: &mut Batch,
    ) {
        for (number, place) in next.iter_mut().filter(|(_, place)| place.1) {
            let lost = log.lost.contains(number);
            if blind || lost || place.0 < log.lanes[*number].high() {
                place.1 = false;
                let partition = partition(*number);
                batch.notices.push(Notice::Behind { partition });
            }
        }
    }

    /// Partitions that were refused, and why.
    pub fn halted(&self) -> Vec<(Partition, Halt)> {
        let halted = |n: &Notice| match n {
            Notice::Halted {
                partition, cause, ..
            } => Some((*partition, *cause)),
            _ => None,
        };
        self.begun.iter().filter_map(halted).collect()
    }
}

fn partition(number: usize) -> Partition {
    Partition {
        topic: 0,
        number: i32::try_from(number).unwrap(),
    }
}

impl Source for Reader {
    fn topics(&self) -> &[Topic] {
        &self.topics
    }

    fn poll(&mut self, batch: &mut Batch, _wait: Duration) -> Result<Polled, Error> {
        batch.notices.append(&mut self.begun);
        let log = self.log.borrow();
        let readable: Vec<usize> = self
            .next
            .keys()
            .copied()
            .filter(|n| !log.lost.contains(n))
            .collect();
        // Where nothing can be read, no end is known; where records wait, it is none. (The daemon's own
        // reader gives up a broker that stays away while others are heard; this one waits for it.)
        let blind = self.paused || readable.is_empty();
        Self::take_back(&mut self.next, &log, blind, batch);
        if blind {
            return Ok(if batch.is_empty() {
                Polled::Nothing
            } else {
                Polled::Some
            });
        }
        // One partition after the other in small runs, as fetched batches come.
        while batch.len() < self.records_max {
            let behind: Vec<usize> = readable
                .iter()
                .copied()
                .filter(|n| self.next[n].0 < log.lanes[*n].high())
                .collect();
            if behind.is_empty() {
                break;
            }
            let number = *self.random.pick(&behind);
            let lane = &log.lanes[number];
            let place = self.next.get_mut(&number).unwrap();
            for _ in 0..self.random.between(1, 40) {
                let Some(written) = lane.records.get(usize::try_from(place.0).unwrap()) else {
                    break;
                };
                batch.push(Record {
                    partition: partition(number),
                    offset: place.0,
                    stamp: written
                        .stamp
                        .map_or(Stamp::None, |at| Stamp::Appended(WallTime(at))),
                    payload: written.payload.as_bytes(),
                    event_id: None,
                    traceparent: None,
                });
                *place = (place.0 + 1, false);
            }
        }
        for number in readable {
            let place = self.next.get_mut(&number).unwrap();
            if place.0 == log.lanes[number].high() && !place.1 {
                place.1 = true;
                batch.notices.push(Notice::End {
                    partition: partition(number),
                    next: place.0,
                });
            }
        }
        Ok(if batch.is_empty() {
            Polled::Nothing
        } else {
            Polled::Some
        })
    }

    fn publish(&mut self, frontier: &Frontier) {
        self.published = Some(frontier.clone());
    }
}
