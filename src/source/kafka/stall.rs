//! The watchdog (T41): a client that gives nothing though there is more is made anew.
//!
//! Whether there is more is asked of the brokers, each once, however many partitions it leads. The client itself
//! is asked first, then a fresh one: a connection whose other side is gone without a word answers nobody, and
//! librdkafka waits a minute for it (`socket.timeout.ms`).

use std::time::{Duration, Instant};

use super::super::{Batch, Notice, Partition};
use super::KafkaSource;
use super::lane::Lane;
use super::survey::Asked;

/// A client that was made anew has up to so long until its first record, each time twice as long as before: on
/// a slow network it would not come to read otherwise, made anew again and again.
const PATIENCE_MAX: Duration = Duration::from_secs(60);

/// After how long without a record a partition is quiet for which the client was made anew so often.
fn patience(stall_after: Duration, stalls: u32) -> Duration {
    let longer = stall_after.saturating_mul(1 << stalls.min(16));
    longer.min(PATIENCE_MAX).max(stall_after)
}

impl KafkaSource {
    /// If nothing came from a partition for long though there is more, makes the client anew.
    pub(super) fn watch(&mut self, batch: &mut Batch) {
        let quiet = self.quiet();
        let stalled = self.stalled(&quiet);
        if stalled.is_empty() {
            return;
        }
        for (partition, next) in stalled {
            if let Some(lane) = self.lanes.get_mut(&partition) {
                lane.stalls += 1;
            }
            batch.notices.push(Notice::Stalled { partition, next });
        }
        self.reassign(batch);
    }

    /// The partitions from which nothing has come for as long as a stall takes. They are not named again
    /// before as much time has passed.
    fn quiet(&mut self) -> Asked {
        let (now, limit) = (Instant::now(), self.settings.stall_after());
        let is_due = |lane: &Lane| {
            lane.halted.is_none() && now - lane.moved_at >= patience(limit, lane.stalls)
        };
        let mut quiet = Asked::new();
        for (partition, lane) in self.lanes.iter_mut().filter(|(_, lane)| is_due(lane)) {
            lane.moved_at = now;
            quiet
                .entry(partition.topic)
                .or_default()
                .push(partition.number);
        }
        quiet
    }

    /// Those of them that have more than was read, and what is to be read next.
    fn stalled(&self, quiet: &Asked) -> Vec<(Partition, i64)> {
        let (mut ends, open) = self.ask(&self.consumer, quiet);
        if !open.is_empty()
            && let Ok(fresh) = self.consumer.another()
        {
            ends.extend(self.ask(&fresh, &open).0);
        }
        let stalled = ends.into_iter().filter_map(|(partition, (_, end))| {
            let next = self.lanes.get(&partition)?.reached();
            (next < end).then_some((partition, next))
        });
        stalled.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_made_anew_has_longer_each_time_up_to_a_minute() {
        let seconds = |after, stalls| patience(Duration::from_secs(after), stalls).as_secs();
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 40].map(|n| seconds(3, n)),
            [3, 6, 12, 24, 48, 60, 60]
        );
        assert_eq!([0, 1, 40].map(|n| seconds(60, n)), [60; 3]);
        assert_eq!([0, 1].map(|n| seconds(300, n)), [300; 2]);
    }
}
