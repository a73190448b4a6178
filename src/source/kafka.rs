//! Records from Kafka: one consumer, positions of our own, nothing reset in silence.
//!
//! Partitions are assigned explicitly from the frontier kept with state; the group's offsets are a
//! gauge. Owns assignment and what becomes of broker errors. Invariant: a
//! partition whose log no longer holds its next offset stops and says so.

#![expect(
    clippy::disallowed_methods,
    reason = "times refreshes, stalls and reports"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message, Timestamp};
use rdkafka::{Offset, TopicPartitionList};

use super::ledger::{Frontier, Last, Logs};
use super::{
    Batch, Error, Halt, Lag, Notice, Partition, Polled, RECORD_BYTES_MAX, Record, Source, Stamp,
    Topic,
};
use crate::model::{HashKey, WallTime};

mod anew;
mod broken;
mod client;
mod context;
mod drain;
pub mod embedded;
mod ends;
mod headers;
mod hearing;
mod lane;
mod missing;
pub mod packed;
pub mod place;
pub mod producer;
mod said;
pub mod settings;
mod stall;
mod survey;
mod unread;

pub use settings::{Settings, Start};

use client::Client;
use drain::Drain;
use lane::Lane;
use said::Said;
use survey::Leaders;
use unread::Unread;

/// How often an assignment that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often the group's offsets are set.
const PUBLISH: Duration = Duration::from_secs(5);
const PUBLISH_AGAIN: Duration = Duration::from_secs(15);
const HEADERS: &str = "a record's headers cannot be read, since one has a name that is no UTF-8; it goes on without them";

/// A Kafka consumer as a source. Used by one thread.
pub struct KafkaSource {
    settings: Settings,
    topics: Vec<Topic>,
    start: Frontier,
    /// The records just before it, and the key they are known by.
    last: Option<(HashKey, Last)>,
    /// Partitions that go on although their logs lost what comes next.
    accepted: Vec<(String, i32)>,
    consumer: Client,
    lanes: BTreeMap<Partition, Lane>,
    /// Which logs state has read.
    logs: Logs,
    /// How much of what the client was told of topics' ids is held against the lanes (`anew`).
    parted: u64,
    /// How often the client was made anew; when that is tried again, since it could not be and what this one
    /// gives may be of places that nobody is at any more.
    renewals: u64,
    stale: Option<Instant>,
    /// What this client has given of what it had fetched.
    drain: Drain,
    /// Of a topic that state does not know, the partitions it had when it was first seen.
    first: BTreeMap<u16, BTreeSet<i32>>,
    /// Partitions that the brokers no longer name, and since when.
    missing: BTreeMap<Partition, Instant>,
    /// Those among them that an operator has given up, until they are named again.
    gone: BTreeSet<Partition>,
    /// Partitions that cannot be read yet.
    unread: BTreeMap<Partition, Unread>,
    /// Some broker of its own is heard; another source is.
    hears: bool,
    heard_beside: bool,
    assigned: bool,
    /// When partitions are looked for next, offsets were last published.
    refresh_at: Instant,
    published: (Instant, Frontier),
    reported_at: Instant,
    /// When a new client is given its partitions, and when one last was.
    anew_at: Option<Instant>,
    reassigned_at: Option<Instant>,
    said: Said,
}

impl std::fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSource")
            .field("topics", &self.topics)
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}

impl KafkaSource {
    /// A source that reads from `frontier` on, and topics it does not know from where the settings
    /// say. Does not wait for the brokers: they are looked for while polling.
    ///
    /// # Errors
    /// If the settings are not sound; the text says what to change.
    pub fn new(
        settings: Settings,
        frontier: Frontier,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        let config = settings.consumer(env).map_err(Error::Settings)?;
        let consumer = Client::new(config).map_err(|e| Error::Settings(e.to_string()))?;
        let now = Instant::now();
        Ok(Self {
            topics: settings
                .topics
                .iter()
                .map(settings::TopicSettings::topic)
                .collect(),
            settings,
            start: frontier,
            last: None,
            accepted: Vec::new(),
            consumer,
            lanes: BTreeMap::new(),
            logs: Logs::default(),
            parted: 0,
            renewals: 0,
            stale: None,
            drain: Drain::default(),
            first: BTreeMap::new(),
            missing: BTreeMap::new(),
            gone: BTreeSet::new(),
            unread: BTreeMap::new(),
            hears: false,
            heard_beside: false,
            assigned: false,
            refresh_at: now,
            published: (now, Frontier::default()),
            reported_at: now,
            anew_at: None,
            reassigned_at: None,
            said: Said::default(),
        })
    }

    /// Looks at the records before the frontier again, where the log still has them: one that holds
    /// others there is another log.
    #[must_use]
    pub fn proving(mut self, key: &HashKey, last: &Last) -> Self {
        self.last = Some((key.clone(), last.clone()));
        self
    }

    /// Stops where a log is not the one that it was.
    #[must_use]
    pub fn knowing(mut self, logs: &Logs) -> Self {
        self.logs = logs.clone();
        self
    }

    /// Goes on with these partitions, by topic and number, even if their logs no longer hold what
    /// comes next.
    #[must_use]
    pub fn accepting(mut self, partitions: &[(String, i32)]) -> Self {
        self.accepted = partitions.to_vec();
        self
    }

    /// Partitions that are no longer read, and why.
    pub fn halted(&self) -> impl Iterator<Item = (Partition, Halt)> + '_ {
        self.lanes
            .iter()
            .filter_map(|(partition, lane)| Some((*partition, lane.halted?)))
    }

    fn name(&self, topic: u16) -> &str {
        self.topics.get(usize::from(topic)).map_or("", |t| &t.name)
    }

    fn find(&self, name: &str, number: i32) -> Option<Partition> {
        let topic = self.topics.iter().position(|t| t.name == name)?;
        Some(Partition {
            topic: u16::try_from(topic).ok()?,
            number,
        })
    }

    fn say(&mut self, batch: &mut Batch, detail: String) {
        if self.said.is_news(&detail, Instant::now()) {
            batch.notices.push(Notice::Trouble { detail });
        }
    }

    /// Looks for partitions that are not read yet, when it is time to.
    fn refresh(&mut self, batch: &mut Batch) {
        if Instant::now() < self.refresh_at {
            return;
        }
        let mut list = TopicPartitionList::new();
        let (mut complete, mut silent) = (true, BTreeSet::new());
        let renewals = self.renewals;
        for topic in 0..self.topics.len() {
            let topic = u16::try_from(topic).unwrap_or(u16::MAX);
            match survey::leaders(&self.consumer, self.name(topic)) {
                Ok(found) => {
                    self.part(batch);
                    complete &= self.discover(topic, found, (&mut silent, &mut list), batch);
                }
                Err(detail) => {
                    complete = false;
                    self.say(batch, detail);
                    self.await_known(batch);
                    // Most likely nobody answers: do not wait for the other topics, too.
                    break;
                }
            }
        }
        if self.renewals != renewals {
            // The new client was given some of them by then: it takes none twice.
            self.reassign(batch);
        } else if self.anew_at.is_none() && list.count() > 0 {
            let result = if self.assigned {
                self.consumer.incremental_assign(&list)
            } else {
                self.consumer.assign(&list)
            };
            match result {
                Ok(()) => self.assigned = true,
                Err(e) => self.say(batch, format!("partitions could not be assigned: {e}")),
            }
        }
        let pause = if complete {
            self.settings.refresh_every()
        } else {
            RETRY
        };
        self.refresh_at = Instant::now() + pause;
    }

    /// Adds the topic's partitions that are new to us to `list`; false if some are still to be found. `silent`
    /// leaders are not asked.
    fn discover(
        &mut self,
        topic: u16,
        mut found: Leaders,
        (silent, list): (&mut BTreeSet<i32>, &mut TopicPartitionList),
        batch: &mut Batch,
    ) -> bool {
        let name = self.name(topic).to_owned();
        let mut complete = self.miss(topic, &found, batch);
        if found.is_empty() {
            let detail = format!("topic {name} has no partitions; create it or correct its name");
            self.say(batch, detail);
            return false;
        }
        let first = self.first.entry(topic);
        let first = first.or_insert_with(|| found.keys().copied().collect());
        let first = (!self.start.knows(&name)).then(|| first.clone());
        found.retain(|number, _| {
            let number = *number;
            !self.lanes.contains_key(&Partition { topic, number })
        });
        let (ends, trouble) = survey::ends(&self.consumer, &name, &found, silent);
        if let Some(detail) = trouble {
            complete = false;
            self.say(batch, detail);
        }
        let unread = found.keys().filter(|n| !ends.contains_key(n));
        self.await_leaders(topic, unread, batch);
        for (number, (low, high)) in ends {
            let partition = Partition { topic, number };
            let is_back = self.gone.remove(&partition);
            if is_back {
                batch.notices.push(Notice::Behind { partition });
            }
            let known = is_back || first.as_ref().is_none_or(|f| !f.contains(&number));
            let kept = self.start.next(&name, number);
            let accepted = self.is_accepted(partition);
            let (next, halted, notice) =
                match place::begin(kept, known, (low, high), self.settings.start) {
                    Ok(next) => (next, None, Notice::Assigned { partition, next }),
                    Err(cause) if accepted => {
                        let notice = Notice::Accepted {
                            partition,
                            next: low,
                            cause,
                        };
                        (low, None, notice)
                    }
                    Err(cause) => {
                        let next = kept.unwrap_or(0);
                        let notice = Notice::Halted {
                            partition,
                            next,
                            cause,
                        };
                        (next, Some(cause), notice)
                    }
                };
            let known = self.last.as_ref().filter(|_| low < next);
            // Of what begins here, or is accepted to be gone, the id says nothing.
            let is_same = kept.is_some() && !matches!(notice, Notice::Accepted { .. });
            let lane = Lane {
                proof: known.and_then(|(_, last)| last.before(&name, number, next)),
                log: self.logs.of(&name, number).filter(|_| is_same),
                halted,
                ..Lane::new(next, (low, high))
            };
            if halted.is_none() {
                // Fails only for offsets that are none.
                let _ = list.add_partition_offset(&name, number, Offset::Offset(lane.from()));
            }
            batch.notices.push(notice);
            self.is_read(partition, batch);
            self.lanes.insert(partition, lane);
            self.parted = 0;
        }
        complete
    }

    /// The partitions being read with their next offsets.
    fn positions(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (partition, lane) in self.lanes.iter().filter(|(_, lane)| lane.halted.is_none()) {
            let name = self.name(partition.topic);
            // Fails only for offsets that are none.
            let _ = list.add_partition_offset(name, partition.number, Offset::Offset(lane.from()));
        }
        list
    }

    /// The log is not the one that was read: it stops, or is read from what it begins with where an
    /// operator has accepted that.
    fn replaced(&mut self, partition: Partition, batch: &mut Batch) {
        let cause = Halt::Replaced;
        match self.lanes.get(&partition).map(|lane| lane.low) {
            Some(low) if self.is_accepted(partition) => self.go_on(partition, low, cause, batch),
            _ => self.halt(partition, cause, batch),
        }
    }

    /// Whether an operator has accepted that this partition goes on without what is lost.
    fn is_accepted(&self, partition: Partition) -> bool {
        let own = (self.name(partition.topic), partition.number);
        let mut accepted = self.accepted.iter();
        accepted.any(|(topic, number)| (topic.as_str(), *number) == own)
    }

    /// Goes on at `next`: what is lost was accepted.
    fn go_on(&mut self, partition: Partition, next: i64, cause: Halt, batch: &mut Batch) {
        self.accept(partition, next, cause, batch);
        self.reassign(batch);
    }

    /// As `go_on`, once all is assigned anew.
    fn accept(&mut self, partition: Partition, next: i64, cause: Halt, batch: &mut Batch) {
        if let Some(lane) = self.lanes.get_mut(&partition) {
            // An end that was told is one of the log, or of the place, before.
            lane.take_back(partition, batch);
            (lane.next, lane.empty_to) = (next, next);
            (lane.proof, lane.log) = (None, None);
            self.parted = 0;
        }
        batch.notices.push(Notice::Accepted {
            partition,
            next,
            cause,
        });
    }

    /// What becomes of an error the consumer reports.
    fn fault(&mut self, error: &KafkaError, batch: &mut Batch) -> Result<(), Error> {
        match error {
            KafkaError::PartitionEOF(number) => {
                let mut same = self.lanes.iter_mut().filter(|(p, _)| p.number == *number);
                // Without the topic's name an end is sure only if one topic has such a partition;
                // otherwise the statistics tell within a second.
                if let (Some((partition, lane)), None) = (same.next(), same.next())
                    && !lane.ended
                    && lane.ear.is_sure()
                {
                    lane.ended = true;
                    batch.notices.push(Notice::End {
                        partition: *partition,
                        next: lane.reached(),
                    });
                }
                Ok(())
            }
            KafkaError::MessageConsumptionFatal(code) => Err(Error::Kafka(format!("{code}"))),
            KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::LogTruncation,
            ) => {
                self.check_bounds(batch);
                Ok(())
            }
            KafkaError::MessageConsumption(RDKafkaErrorCode::BadCompression) => {
                self.refused(error, batch);
                Ok(())
            }
            KafkaError::MessageConsumption(RDKafkaErrorCode::BadMessage) => {
                self.damaged(error, batch);
                Ok(())
            }
            other => {
                self.say(batch, other.to_string());
                Ok(())
            }
        }
    }

    /// A position was refused: finds out whose and stops those; the others are assigned anew.
    fn check_bounds(&mut self, batch: &mut Batch) {
        let running = self.lanes.iter().filter(|(_, l)| l.halted.is_none());
        let running: Vec<(Partition, i64)> = running.map(|(p, l)| (*p, l.next)).collect();
        let mut asked = survey::Asked::new();
        for (partition, _) in &running {
            let numbers = asked.entry(partition.topic).or_default();
            numbers.push(partition.number);
        }
        let (ends, _open) = self.ask(&self.consumer, &asked);
        let (mut found, mut unsure) = (false, Vec::new());
        for (partition, next) in running {
            let Some((low, high)) = ends.get(&partition).copied() else {
                unsure.push(partition);
                continue;
            };
            if let Some(lane) = self.lanes.get_mut(&partition)
                && lane.from() < low
            {
                // Retention has taken the record that was to be looked at.
                lane.proof = None;
            }
            match place::begin(Some(next), true, (low, high), self.settings.start) {
                Ok(_) => continue,
                Err(cause) if self.is_accepted(partition) => {
                    self.accept(partition, low, cause, batch);
                }
                Err(cause) => self.halt(partition, cause, batch),
            }
            found = true;
        }
        if !found {
            if let [only] = unsure.as_slice()
                && self.lanes.len() == 1
            {
                return self.halt(*only, Halt::OutOfRange, batch);
            }
            self.say(
                batch,
                "a position was refused and no log is short; assigning anew".to_owned(),
            );
        }
        // The consumer holds a refused partition back until it is assigned anew, and it may not be the one found.
        self.reassign(batch);
    }

    fn halt(&mut self, partition: Partition, cause: Halt, batch: &mut Batch) {
        let Some(lane) = self.lanes.get_mut(&partition) else {
            return;
        };
        lane.halted = Some(cause);
        batch.notices.push(Notice::Halted {
            partition,
            next: lane.next,
            cause,
        });
        // It is not given to this client again, which is what `reassign` has to mind.
        let mut list = TopicPartitionList::new();
        list.add_partition(self.name(partition.topic), partition.number);
        if let Err(e) = self.consumer.incremental_unassign(&list) {
            self.say(batch, format!("a partition could not be let go: {e}"));
        }
    }

    /// Goes on where each partition stands, with a new client: one that is given a partition anew twice, before it
    /// has let go of it once, ends the process by an assertion (`rd_kafka_assignment_partition_stopped`).
    fn reassign(&mut self, batch: &mut Batch) {
        match self.consumer.another() {
            Ok(consumer) => {
                (self.consumer, self.drain) = (consumer, Drain::default());
                (self.parted, self.stale) = (0, None);
            }
            Err(e) => {
                if self.stale.replace(Instant::now() + RETRY).is_none() {
                    self.go_deaf(batch);
                }
                return self.say(batch, format!("the client could not be made anew: {e}"));
            }
        }
        self.renewals += 1;
        self.assigned = true;
        let now = Instant::now();
        self.reported_at = now;
        // What ails one partition would keep all others from being read, were it done at once each time.
        self.anew_at = Some(self.reassigned_at.map_or(now, |at| now.max(at + RETRY)));
        self.assign_anew(batch);
    }

    /// Reads nothing, since no client is where reading has come to; who else is silent is minded all the same.
    fn stand(&mut self, batch: &mut Batch, wait: Duration) -> Polled {
        std::thread::sleep(wait);
        // Nobody reports, and that is known.
        self.reported_at = Instant::now();
        self.give_up(batch);
        polled(batch)
    }

    /// Gives the new client its partitions, when it is time to.
    fn assign_anew(&mut self, batch: &mut Batch) {
        let now = Instant::now();
        if self.anew_at.is_none_or(|at| now < at) {
            return;
        }
        (self.anew_at, self.reassigned_at) = (None, Some(now));
        if let Err(e) = self.consumer.assign(&self.positions()) {
            self.say(batch, format!("partitions could not be assigned: {e}"));
        }
    }
}

fn polled(batch: &Batch) -> Polled {
    if batch.is_empty() {
        Polled::Nothing
    } else {
        Polled::Some
    }
}

/// What is odd about a message.
enum Odd {
    /// They cannot be read.
    Headers,
    /// It shows that the partition's log is another one.
    Replaced(Partition),
}

/// A message as a record of this partition, and whether its headers could be read.
fn record<'a>(partition: Partition, message: &'a BorrowedMessage<'_>) -> (Record<'a>, bool) {
    let payload = message.payload().unwrap_or_default();
    let headers = headers::read(message);
    let told = headers.unwrap_or_default();
    let record = Record {
        partition,
        offset: message.offset(),
        stamp: match message.timestamp() {
            Timestamp::NotAvailable => Stamp::None,
            Timestamp::CreateTime(ms) => Stamp::Created(WallTime(ms)),
            Timestamp::LogAppendTime(ms) => Stamp::Appended(WallTime(ms)),
        },
        payload: payload.get(..=RECORD_BYTES_MAX).unwrap_or(payload),
        event_id: told.event_id,
        traceparent: told.traceparent,
    };
    (record, headers.is_some())
}

impl Source for KafkaSource {
    fn topics(&self) -> &[Topic] {
        &self.topics
    }

    fn poll(&mut self, batch: &mut Batch, wait: Duration) -> Result<Polled, Error> {
        self.listen(batch);
        if self.stale.is_some_and(|again| Instant::now() >= again) {
            self.reassign(batch);
        }
        self.assign_anew(batch);
        self.refresh(batch);
        // Before the first record, so that whoever keeps state can keep where it begins.
        let begins = |n: &Notice| matches!(n, Notice::Assigned { .. } | Notice::Accepted { .. });
        if batch.notices.iter().any(begins) {
            return Ok(Polled::Some);
        }
        let mut wait = if batch.is_empty() {
            wait
        } else {
            Duration::ZERO
        };
        if self.stale.is_some() {
            return Ok(self.stand(batch, wait));
        }
        self.drain.begin();
        while !batch.is_full() {
            let polled = self.consumer.poll(std::mem::take(&mut wait));
            let beside = self.consumer.context().beside();
            if self.drain.is_empty(polled.is_some(), beside) {
                break;
            }
            let odd = match polled {
                // It took a report or the like, which comes before the records that wait.
                None => continue,
                Some(Ok(message)) => {
                    let partition = self.find(message.topic(), message.partition());
                    if let Some(p) = partition
                        && self.is_anew(p, message.offset())
                    {
                        self.lanes.entry(p).and_modify(|lane| lane.proof = None);
                        break;
                    }
                    let key = self.last.as_ref().map(|(key, _)| key);
                    Ok(partition.and_then(|p| {
                        let (record, is_whole) = record(p, &message);
                        let lane = self.lanes.get_mut(&p)?;
                        if lane.proof.is_some() {
                            // Whether it shows something or not, the id is to be asked once more.
                            self.parted = 0;
                        }
                        if lane.take(record, key, batch) {
                            (!is_whole).then_some(Odd::Headers)
                        } else {
                            Some(Odd::Replaced(p))
                        }
                    }))
                }
                Some(Err(error)) => Err(error),
            };
            let is_usual = matches!(odd, Ok(None));
            match odd {
                Ok(None) => {}
                Ok(Some(Odd::Headers)) => self.say(batch, HEADERS.to_owned()),
                Ok(Some(Odd::Replaced(partition))) => self.replaced(partition, batch),
                Err(error) => self.fault(&error, batch)?,
            }
            // What comes next may be of another place, which begins behind the batch.
            if !is_usual && batch.notices.iter().any(begins) {
                break;
            }
        }
        self.part(batch);
        if self.stale.is_none() {
            self.observe(batch);
            self.watch(batch);
        }
        Ok(polled(batch))
    }

    fn publish(&mut self, frontier: &Frontier) {
        let now = Instant::now();
        // Whether they were taken nobody tells, and a coordinator that moves takes none: the same are given again.
        let (at, before) = &self.published;
        let pause = if before == frontier {
            PUBLISH_AGAIN
        } else {
            PUBLISH
        };
        if now - *at < pause {
            return;
        }
        let mut list = TopicPartitionList::new();
        for (topic, number, next) in frontier.iter() {
            if self.find(topic, number).is_some() {
                let _ = list.add_partition_offset(topic, number, Offset::Offset(next));
            }
        }
        // A gauge: if it fails, the next one tells.
        let _ = self.consumer.commit(&list, CommitMode::Async);
        self.published = (now, frontier.clone());
    }

    fn is_heard(&self) -> bool {
        self.hears && self.reported_at.elapsed() <= ends::REPORT_MAX
    }

    fn beside(&mut self, heard: bool) {
        self.heard_beside = heard;
    }

    fn lag(&self) -> Vec<Lag> {
        self.lanes
            .iter()
            .map(|(partition, lane)| Lag {
                partition: *partition,
                next: lane.next,
                records: (lane.high - lane.reached()).max(0),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
