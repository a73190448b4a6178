//! The engine's thread: it gives the turn what the pipeline has, waits where the turn stands still, and
//! measures, until told to stop.
//!
//! Owns the waiting and the gauges; what is done in which order is `turn`. Invariant: nothing is taken
//! from the pipeline before all that was taken earlier is settled.

#![expect(clippy::disallowed_methods, reason = "waits, and measures waits")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

mod edges;
mod report;

pub use self::edges::Edges;
pub use self::report::Report;
use super::ask::Ask;
use super::meta;
use super::pipeline::Next;
use super::threads::Threads;
use super::turn::{Effects as _, Trouble, Turn};
use crate::source::kafka::packed;

/// How long it waits for a batch before it looks at its other duties.
const WAIT: Duration = Duration::from_millis(100);
/// How often gauges are set.
const GAUGES: Duration = Duration::from_millis(500);
/// The wait before what could not be written is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// All that the thread owns.
pub struct Work {
    pub turn: Turn<Threads, Edges>,
    pub asks: Receiver<Ask>,
    pub stop: Arc<AtomicBool>,
    /// Why another part has ended the process, if it has.
    pub failure: Arc<OnceLock<String>>,
}

impl Work {
    /// # Errors
    /// The source has ended with an error, or something cannot be written for good.
    pub fn run(mut self) -> anyhow::Result<()> {
        let result = self.turns().and_then(|()| match self.failure.get() {
            Some(why) => Err(anyhow::anyhow!(why.clone())),
            None => Ok(()),
        });
        self.turn.effects.report.shared.draining();
        let result = result.and_then(|()| Ok(self.turn.finish()?));
        let edges = self.turn.effects;
        edges
            .report
            .shared
            .ended(result.as_ref().err().map(|e| format!("{e:#}")));
        edges.pipeline.join();
        result
    }

    fn turns(&mut self) -> anyhow::Result<()> {
        self.settle()?;
        let (mut stopping, mut measured) = (false, Instant::now());
        loop {
            if self.stop.load(Ordering::Relaxed) && !stopping {
                stopping = true;
                self.turn.effects.report.shared.draining();
                self.turn.effects.pipeline.stop();
            }
            match self.turn.effects.pipeline.next(WAIT) {
                Next::Intake(mut intake) => {
                    self.turn.take(&mut intake)?;
                    self.turn.effects.pipeline.recycle(intake);
                }
                Next::Nothing => self.turn.look(),
                Next::End if stopping => return Ok(()),
                // Files have an end.
                Next::End => {
                    self.turn.close()?;
                    return Ok(self.settle()?);
                }
                Next::Failed(error) => return Err(error.into()),
            }
            self.asks.try_iter().for_each(|ask| self.turn.ask(ask));
            if measured.elapsed() >= GAUGES {
                measured = Instant::now();
                self.measure();
            }
            self.settle()?;
        }
    }

    /// Settles, and waits where it cannot: nothing goes on past what is not durable.
    fn settle(&mut self) -> Result<(), Trouble> {
        let mut waits_for = None;
        loop {
            let result = self.turn.settle();
            let part = result.as_ref().err().map(Trouble::part);
            let report = &self.turn.effects.report;
            if let Some(before) = waits_for.filter(|before| Some(*before) != part) {
                report.can_write(before);
            }
            match result {
                Err(trouble) if trouble.may_pass() && !self.stop.load(Ordering::Relaxed) => {
                    report.cannot_write(&trouble);
                    waits_for = part;
                    std::thread::sleep(RETRY);
                }
                result => return result,
            }
        }
    }

    /// Sets the gauges; what they show to be wrong with tidegate itself becomes an alert.
    fn measure(&mut self) {
        let Turn {
            course, effects, ..
        } = &mut self.turn;
        let (stats, now) = (course.engine.stats(), effects.now());
        let program = Arc::clone(course.engine.program());
        for (rule, evicted) in effects.report.measures.rules(&program, &stats.usage) {
            let name = &program.detector(rule).name;
            course.raise(meta::key_explosion(&program.key, name, evicted, now));
        }
        for endpoint in effects.report.shared.newly_gone() {
            course.raise(meta::endpoint_gone(&program.key, &endpoint, now));
        }
        let lags = effects.pipeline.lag().unwrap_or_default();
        let measures = &mut effects.report.measures;
        measures.delays(stats.watermark.0, now, &lags);
        measures.unpacking(packed::numbers());
        effects.report.shared.usage(stats.usage);
        effects.report.shared.set_gauges();
    }
}
