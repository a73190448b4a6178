//! The daemon's edges as the turn touches them: files, the source's thread, the clock.
//!
//! Owns no order. What the turn tells goes on to `Report`.

use std::sync::Arc;

use super::Report;
use crate::app::dead::DeadLetters;
use crate::app::pipeline::{Pipeline, Rules};
use crate::app::shelf::Shelf;
use crate::app::state_dir::{Place, StateDir};
use crate::app::turn::{Effects, Happening, Trouble};
use crate::decode::DeadLetter;
use crate::deliver::Clock;
use crate::engine::exchange::Origin;
use crate::engine::snapshot::{Kind, Taken};
use crate::model::WallTime;
use crate::source::ledger::Frontier;

/// See the module's text.
pub struct Edges {
    pub pipeline: Pipeline,
    pub state: StateDir,
    pub dead: DeadLetters,
    pub rules: Arc<Shelf<Rules>>,
    pub clock: Arc<dyn Clock>,
    pub report: Report,
}

impl Effects for Edges {
    fn now(&self) -> WallTime {
        self.clock.now()
    }

    fn bury(&mut self, names: &[String], letters: &[(Origin, DeadLetter)]) -> Result<(), Trouble> {
        let left_out = self.dead.write(names, letters)?;
        if left_out > 0 {
            tracing::warn!(left_out, "the dead-letter file is full: move it away");
        }
        Ok(())
    }

    fn sync_letters(&mut self) -> Result<(), Trouble> {
        Ok(self.dead.sync()?)
    }

    fn due(&self) -> Kind {
        self.state.snapshots.due()
    }

    fn save(&mut self, taken: Taken, place: &Place) -> Result<usize, Trouble> {
        Ok(self.state.snapshots.save(taken, place)?)
    }

    fn publish(&mut self, frontier: Frontier) {
        self.pipeline.publish(frontier);
    }

    fn put_back(&mut self, rules: Arc<Rules>) {
        self.rules.put(rules);
    }

    fn hear(&mut self, what: &Happening<'_>) {
        self.report.hear(what, self.clock.now());
    }

    fn point(&mut self, name: &'static str) -> Result<(), Trouble> {
        crate::crash::point(name);
        Ok(())
    }
}
