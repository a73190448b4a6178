//! The newest records as they were read, in memory only: what a changed set of detectors is tried
//! on before it is put in force.
//!
//! Bounded in bytes and age. A quiet stream is kept whole; of one that fills the room faster a batch
//! a second goes on being kept.

#![expect(
    clippy::disallowed_methods,
    reason = "stamps batches to let old ones go"
)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::source::Batch;

/// Most bytes kept.
const BYTES_MAX: usize = 16 << 20;
/// Longest time a batch is kept.
const AGE_MAX: Duration = Duration::from_secs(3600);
/// Once the room is full, a batch is kept at most this often.
const PACE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Kept {
    batches: VecDeque<(Instant, Arc<Batch>)>,
    bytes: usize,
    full: bool,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Sample {
    kept: Mutex<Kept>,
}

impl Sample {
    /// Keeps a copy of a batch's records, if it is this batch's turn.
    pub fn keep(&self, batch: &Batch) {
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let too_soon = kept.batches.back().is_some_and(|(at, _)| now - *at < PACE);
        if batch.size() == 0 || (kept.full && too_soon) {
            return;
        }
        kept.bytes += batch.footprint();
        kept.batches
            .push_back((now, Arc::new(batch.records_only())));
        while let Some((at, oldest)) = kept.batches.front() {
            let old = now - *at > AGE_MAX;
            let size = oldest.footprint();
            if !old && kept.bytes <= BYTES_MAX {
                return;
            }
            kept.full |= !old;
            kept.bytes -= size;
            kept.batches.pop_front();
        }
    }

    /// What is kept, oldest first.
    #[must_use]
    pub fn batches(&self) -> Vec<Arc<Batch>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.batches.iter().map(|(_, b)| Arc::clone(b)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Partition, Record, Stamp};

    fn batch(offset: i64, size: usize) -> Batch {
        let mut batch = Batch::default();
        batch.push(Record {
            partition: Partition::default(),
            offset,
            stamp: Stamp::None,
            payload: &vec![b'x'; size],
            event_id: None,
            traceparent: None,
        });
        batch
    }

    #[test]
    fn keeps_the_newest_within_its_room() {
        let sample = Sample::default();
        for offset in 0..40 {
            sample.keep(&batch(offset, 1 << 20));
        }
        let kept = sample.batches();
        assert!(kept.iter().map(|b| b.footprint()).sum::<usize>() <= BYTES_MAX);
        assert!(kept.len() > 10, "{}", kept.len());
    }

    #[test]
    fn small_records_count_with_what_is_kept_about_them() {
        let mut many = batch(0, 1);
        for offset in 1..1024 {
            many.push(batch(offset, 1).records().next().unwrap());
        }
        assert!(many.footprint() > 32 * many.size());
    }
}
