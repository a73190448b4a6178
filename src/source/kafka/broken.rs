//! Batches whose checksum does not hold. librdkafka says where one begins, though not of which partition, and
//! then stumbles over what follows.
//!
//! The partition is found by reading each that may be it alone, from there on. Invariant: what is behind such a
//! batch is not read before somebody has accepted its loss, and no healthy partition is stopped for it.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::super::{Batch, Halt, Partition};
use super::KafkaSource;
use super::context::{About, Context};
use super::survey::ASK;

/// How long a partition is looked for at once; then it is looked for when the batch is met again.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// What a reader of one partition met first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    /// The broken batch that begins there.
    Broken(i64),
    /// Something else: a record, the end of the log, a batch that is whole and cannot be unpacked.
    Other,
}

/// What the client said last, once it is about a batch whose checksum does not hold.
fn broken(consumer: &BaseConsumer<Context>, error: &KafkaError) -> Option<i64> {
    match (error, consumer.context().about()) {
        (
            KafkaError::MessageConsumption(RDKafkaErrorCode::BadMessage),
            Some(About::Broken(offset)),
        ) => Some(offset),
        _ => None,
    }
}

impl KafkaSource {
    /// A batch is broken: its partition stops, or goes on behind it where an operator has accepted that. If none
    /// is found that has it, the bytes were damaged on their way, and are asked for again.
    pub(super) fn damaged(&mut self, error: &KafkaError, batch: &mut Batch) {
        let Some(offset) = broken(&self.consumer, error) else {
            return self.say(batch, error.to_string());
        };
        let Some(partition) = self.owner(offset) else {
            let detail = format!("the checksum of a batch at {offset} does not hold; asking again");
            self.say(batch, detail);
            return self.reassign(batch);
        };
        let cause = Halt::Damaged { offset };
        if !self.is_accepted(partition) {
            return self.halt(partition, cause, batch);
        }
        let Some(next) = self.behind(partition, offset) else {
            return self.reassign(batch);
        };
        // Of a message within a packed one, of the old formats, only the place in that is told.
        let lane = self.lanes.get(&partition);
        if lane.is_some_and(|lane| lane.next < next) {
            self.go_on(partition, next, cause, batch);
        } else {
            self.halt(partition, cause, batch);
        }
    }

    /// Whose batch it is, if that can be found out now.
    fn owner(&self, offset: i64) -> Option<Partition> {
        let until = Instant::now() + LOOK_MAX;
        let lanes = self.lanes.iter().filter(|(_, lane)| lane.halted.is_none());
        let mut lanes: Vec<_> = lanes.map(|(p, lane)| (*p, lane.next)).collect();
        // Mostly it is what comes next.
        lanes.sort_by_key(|(_, next)| (next - offset).abs());
        let mut lanes = lanes.into_iter().take_while(|_| Instant::now() < until);
        // Where reading began amid the batch, all of it comes.
        let found =
            lanes.find(|(p, next)| self.meet(*p, offset.max(*next)) == Some(Met::Broken(offset)));
        found.map(|(partition, _)| partition)
    }

    /// The first offset behind the batch. Whoever reads from amid a batch is given all of it, so each step tells
    /// whether it is still the same.
    fn behind(&self, partition: Partition, offset: i64) -> Option<i64> {
        let is_in = |at| Some(self.meet(partition, at)? == Met::Broken(offset));
        let mut step = 1;
        while is_in(offset + step)? {
            step *= 2;
        }
        let (mut within, mut behind) = (offset + step / 2, offset + step);
        while behind - within > 1 {
            let middle = within + (behind - within) / 2;
            if is_in(middle)? {
                within = middle;
            } else {
                behind = middle;
            }
        }
        Some(behind)
    }

    /// What somebody meets who reads this partition alone from `offset` on; `None` if nobody answers.
    fn meet(&self, partition: Partition, offset: i64) -> Option<Met> {
        let consumer = self.consumer.another().ok()?;
        let mut list = TopicPartitionList::new();
        let name = self.name(partition.topic);
        list.add_partition_offset(name, partition.number, Offset::Offset(offset))
            .ok()?;
        consumer.assign(&list).ok()?;
        let until = Instant::now() + ASK;
        while Instant::now() < until {
            match consumer.poll(Duration::from_millis(100)) {
                None => {}
                Some(
                    Ok(_)
                    | Err(
                        KafkaError::PartitionEOF(_)
                        | KafkaError::MessageConsumption(
                            RDKafkaErrorCode::AutoOffsetReset
                            | RDKafkaErrorCode::OffsetOutOfRange
                            | RDKafkaErrorCode::BadCompression,
                        ),
                    ),
                ) => return Some(Met::Other),
                Some(Err(error)) => {
                    if let Some(offset) = broken(&consumer, &error) {
                        return Some(Met::Broken(offset));
                    }
                }
            }
        }
        None
    }
}

/// Finds where the batch begins in the text of librdkafka's error, such as
/// `MessageSet at offset 12 (345 bytes) failed CRC32C check (original 0x1 != calculated 0x2)`.
pub(super) fn read(text: &str) -> Option<i64> {
    let (_, rest) = text.split_once(" offset ")?;
    let (offset, rest) = rest.split_once(' ')?;
    rest.contains(" failed CRC32")
        .then(|| offset.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_place_is_read_from_the_clients_words() {
        for (text, offset) in [
            (
                "b:9092/1: MessageSet at offset 1234567 (990 bytes) failed CRC32C check (original 0x1 != calculated 0x2)",
                Some(1_234_567),
            ),
            (
                "Message at offset 9 (61 bytes) failed CRC32 check (original 0x1 != calculated 0x2)",
                Some(9),
            ),
            (
                "Message at relative offset 3 (61 bytes) failed CRC32 check (original 0x1 != calculated 0x2)",
                Some(3),
            ),
            ("MessageSet at offset x (61 bytes) failed CRC32 check", None),
            ("Message at offset 9 (61 bytes) is fine", None),
            ("", None),
        ] {
            assert_eq!(read(text), offset, "{text}");
        }
    }
}
