//! The thread that reads the source: batches go out numbered, orders are looked at in between.

#![expect(
    clippy::disallowed_methods,
    reason = "stamps batches with the time they were read"
)]

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};

use super::orders::Orders;
use super::{Job, POLL, Rules};
use crate::app::sample::Sample;
use crate::app::shelf::Shelf;
use crate::deliver::{Clock, SystemClock};
use crate::model::WallTime;
use crate::source::{Batch, Error, Polled, Source};

pub(super) struct Reader {
    pub(super) source: Box<dyn Source + Send>,
    pub(super) rules: Arc<Shelf<Rules>>,
    pub(super) sample: Option<Arc<Sample>>,
    pub(super) jobs: Sender<Job>,
    pub(super) empties: Receiver<Batch>,
    pub(super) orders: Arc<Orders>,
}

impl Reader {
    pub(super) fn run(mut self) -> Result<(), Error> {
        let (mut seq, clock) = (0, SystemClock::new());
        // Taken here, in the order of batches, so that no batch of the old rules follows the new.
        let (mut rules, mut version) = (self.rules.get(), 0);
        loop {
            let newer = self.rules.newer(&mut version);
            let changed = newer.is_some();
            rules = newer.unwrap_or(rules);
            if let Some(frontier) = self.orders.take_frontier() {
                self.source.publish(&frontier);
                crate::crash::point("frontier-published");
            }
            self.orders.answer_lag(|| self.source.lag());
            if self.orders.is_stopped() {
                return Ok(());
            }
            let mut batch = self.empties.try_recv().unwrap_or_default();
            match self.source.poll(&mut batch, POLL)? {
                // Also without a record: detectors that time alone fires are in force at once.
                Polled::Nothing if !changed => {}
                Polled::End if batch.is_empty() => return Ok(()),
                Polled::Nothing | Polled::Some | Polled::End => {
                    crate::crash::point("source-polled");
                    if let Some(sample) = &self.sample {
                        sample.keep(&batch);
                    }
                    let job = Job {
                        seq,
                        rules: Arc::clone(&rules),
                        batch,
                        read_at: Instant::now(),
                        clock: latest(&clock),
                    };
                    if self.jobs.send(job).is_err() {
                        return Ok(());
                    }
                    seq += 1;
                }
            }
        }
    }
}

/// The later of the time that goes on by itself and what the machine's clock says: neither a step
/// back nor a start with a clock that was behind pulls events into the past.
fn latest(clock: &SystemClock) -> WallTime {
    clock
        .now()
        .max(WallTime(clock.stamp().saturating_mul(1000)))
}
