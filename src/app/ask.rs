//! What people ask of the engine's thread: it alone decides and writes, so each wish is carried out
//! there, between two batches, and the one who asked waits for the answer.

use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use super::commit::{Committed, Desk};
use crate::model::WallTime;
use crate::store::StoreError;

/// How long a person waits.
const PATIENCE: Duration = Duration::from_secs(5);

type Work = dyn FnMut(&mut Desk, WallTime) -> Result<Committed, StoreError> + Send;

/// A wish on its way.
pub struct Ask(Box<Work>);

impl Ask {
    /// `work` is what is wished for; it is tried again until it succeeds.
    pub fn new(
        work: impl FnMut(&mut Desk, WallTime) -> Result<Committed, StoreError> + Send + 'static,
    ) -> Self {
        Self(Box::new(work))
    }

    /// Does what was asked for and tells the one who asked; after an error it may be tried again.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing has changed.
    pub fn carry_out(&mut self, desk: &mut Desk, now: WallTime) -> Result<Committed, StoreError> {
        (self.0)(desk, now)
    }
}

/// Has `work` done and waits for its answer; `None` if there is none in time. It may then still
/// be done later.
pub fn ask<T: Send + 'static>(
    asks: &Sender<Ask>,
    mut work: impl FnMut(&mut Desk, WallTime) -> Result<(Committed, T), StoreError> + Send + 'static,
) -> Option<T> {
    let (give, answer) = bounded(1);
    let wish = move |desk: &mut Desk, now: WallTime| {
        let (committed, value) = work(desk, now)?;
        let _gone = give.try_send(value);
        Ok(committed)
    };
    asks.try_send(Ask::new(wish)).ok()?;
    answer.recv_timeout(PATIENCE).ok()
}
