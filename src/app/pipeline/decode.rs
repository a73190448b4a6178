//! A decoding thread: batches of records in, what stage 1 makes of them out.
//!
//! Invariant: no record stops the stream. One on which decoding itself fails becomes a dead letter;
//! if the thread dies all the same, the pipeline says so instead of waiting for its batch.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::{Done, Intake, Job, Rules};
use crate::app::shelf::Shelf;
use crate::app::stage::{Beside, Stage};
use crate::decode::{DeadLetter, Schema};
use crate::enrich::Tables;
use crate::source::{Batch, Error, Record};

/// What the thread is given.
pub(super) struct Decoding {
    pub(super) hints: Arc<[Option<Schema>]>,
    pub(super) tables: Arc<Shelf<Tables>>,
    pub(super) jobs: Receiver<Job>,
    pub(super) done: Sender<Done>,
    /// Used intakes and emptied batches travel in a circle.
    pub(super) spares: Receiver<Box<Intake>>,
    pub(super) empties: Sender<Batch>,
}

impl Decoding {
    pub(super) fn run(self, rules: Arc<Rules>) {
        let turn = catch_unwind(AssertUnwindSafe(|| self.turn(rules)));
        if turn.is_err() {
            let _gone = self.done.send(Err(Error::Died));
        }
    }

    fn turn(&self, mut rules: Arc<Rules>) {
        let mut version = 0;
        let mut stage = stage(&rules, self.tables.get());
        while let Ok(job) = self.jobs.recv() {
            if !Arc::ptr_eq(&rules, &job.rules) {
                rules = Arc::clone(&job.rules);
                stage = self::stage(&rules, self.tables.get());
            }
            if let Some(tables) = self.tables.newer(&mut version) {
                stage.set_tables(tables);
            }
            let spare = self.spares.try_recv();
            let mut intake = spare.unwrap_or_else(|_| Intake::fresh(&rules));
            let (seq, mut batch) = (job.seq, job.batch);
            intake.begin(&rules, job.read_at, job.clock);
            let anew = || self::stage(&rules, self.tables.get());
            intake.decode(&mut batch, &self.hints, &mut stage, anew);
            batch.clear();
            crate::crash::point("batch-decoded");
            let _full = self.empties.try_send(batch);
            if self.done.send(Ok((seq, intake))).is_err() {
                return;
            }
        }
    }
}

impl Intake {
    /// Takes in what stage 1 makes of a batch, and its notices. Where decoding itself fails the stage is
    /// made `anew`.
    pub fn decode(
        &mut self,
        batch: &mut Batch,
        hints: &[Option<Schema>],
        stage: &mut Stage,
        anew: impl Fn() -> Stage,
    ) {
        self.notices.append(&mut batch.notices);
        let mut last: Vec<Record<'_>> = Vec::new();
        for record in batch.records() {
            let beside = Beside::of(&record, hints, self.clock);
            let before = self.routed.len();
            let (routed, dead) = (&mut self.routed, &mut self.dead);
            let work = || {
                crate::crash::point("record-decoding");
                stage.work(record.payload, &beside, routed, dead);
            };
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                self.routed.truncate(before);
                self.routed.pass(beside.origin);
                self.dead.push((beside.origin, DeadLetter::defect()));
                *stage = anew();
            }
            self.count(record.partition.topic, record.payload.len());
            if self.routed.len() != before {
                match last.iter_mut().find(|l| l.partition == record.partition) {
                    Some(earlier) => *earlier = record,
                    None => last.push(record),
                }
            }
        }
        let key = &self.rules.program.key;
        let fingerprints = last
            .iter()
            .map(|r| (r.partition, r.offset, r.fingerprint(key)));
        self.last.extend(fingerprints);
    }
}

fn stage(rules: &Rules, tables: Arc<Tables>) -> Stage {
    Stage::new(&rules.program, rules.projection.clone(), tables)
}
