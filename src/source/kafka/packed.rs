//! Batches that cannot be unpacked: their partition stops and says so, or an operator has accepted their loss.
//!
//! What a batch may unpack to is the crate `unpack`'s own. Invariant: none is left out in silence, and a
//! partition whose batch only found no room in time goes on by itself.

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use unpack::Cause;

use super::super::{Batch, Halt, Notice};
use super::KafkaSource;
use super::context::About;

pub use unpack::{Numbers, numbers};

/// The names of the codecs and of the causes, in the order in which `Numbers` counts.
pub const CODECS: [&str; 4] = unpack::Codec::NAMES;
pub const CAUSES: [&str; 3] = [
    Cause::Oversized.name(),
    Cause::Damaged.name(),
    Cause::Busy.name(),
];

/// A batch that has been let past is met again where the answer without it was thrown away, because another
/// partition stopped; no more often than this.
const PASSES_MAX: u8 = 3;

impl KafkaSource {
    /// Makes of the client's error what it is: nothing that lasts, a partition that stops, or a loss that is
    /// accepted.
    pub(super) fn refused(&mut self, error: &KafkaError, batch: &mut Batch) {
        let Some(About::Refused(refusal)) = self.consumer.context().about() else {
            // On a system where librdkafka unpacks by itself.
            return self.say(batch, error.to_string());
        };
        let offset = refusal.offset;
        let cause = match refusal.cause {
            Cause::Busy => return,
            Cause::Oversized => Halt::Oversized { offset },
            Cause::Damaged => Halt::Damaged { offset },
        };
        let Some(partition) = self.find(&refusal.topic, refusal.partition) else {
            return;
        };
        let is_accepted = self.is_accepted(partition);
        let running = |l: &&mut super::Lane| l.halted.is_none();
        let Some(lane) = self.lanes.get_mut(&partition).filter(running) else {
            return;
        };
        if is_accepted && !unpack::pass_over(&refusal) {
            return;
        }
        let passes = if lane.passed.0 == offset {
            lane.passed.1
        } else {
            0
        };
        if !is_accepted || passes == PASSES_MAX {
            return self.halt(partition, cause, batch);
        }
        lane.passed = (offset, passes + 1);
        lane.take_back(partition, batch);
        batch.notices.push(Notice::Accepted {
            partition,
            next: lane.next,
            cause,
        });
    }
}

#[cfg(test)]
mod tests;
