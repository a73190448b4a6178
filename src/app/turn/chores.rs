//! What the turn does now and then: ends, snapshots, and rows that were kept long enough.
//!
//! Owns when it is due. Invariant: a snapshot is written only when all it contains is committed and the dead
//! letters behind its frontier are durable, and a frontier is published only when its snapshot is.

use super::{Effects, Happening, Trouble, Turn};
use crate::app::reload::Noise;
use crate::engine::Shards;
use crate::engine::snapshot::Kind;
use crate::model::{EventTime, Span};

/// Rows that are pruned in one commit.
const PRUNE_MAX: usize = 1000;
/// Reading stands still while a snapshot is made: at least this many times as long passes before the
/// next one, however often they are asked for.
const SNAPSHOT_SHARE: i64 = 9;

/// How often it does what is not for every turn, and what it takes for old or for noise.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Between two looks at the ends of actions.
    pub house_every: Span,
    pub snapshot_every: Span,
    /// Between two looks for rows that were kept long enough.
    pub prune_every: Span,
    /// How long closed alerts and ended actions are kept.
    pub keep: Span,
    /// How many alerts changed detectors may open before those of before are put back.
    pub noise: Noise,
}

impl<S: Shards, E: Effects> Turn<S, E> {
    /// Ends what has come to its end.
    pub(super) fn keep_house(&mut self) -> Result<(), Trouble> {
        let now = self.effects.now();
        if now - self.kept_house < self.settings.house_every {
            return Ok(());
        }
        let ended = self.course.desk.tick(now)?;
        self.follow(&ended);
        let released = self.course.desk.release(now)?;
        self.follow(&released);
        self.kept_house = now;
        Ok(())
    }

    /// Writes a snapshot if one is due.
    pub(super) fn save(&mut self) -> Result<(), Trouble> {
        let pause = Span(self.took.0.saturating_mul(SNAPSHOT_SHARE));
        if self.effects.now() - self.saved < self.settings.snapshot_every.max(pause) {
            return Ok(());
        }
        self.snapshot()
    }

    /// Writes a snapshot.
    ///
    /// # Errors
    /// It cannot be written, and will not be. Of one that may be later only `hear` tells.
    pub fn snapshot(&mut self) -> Result<(), Trouble> {
        match self.keep() {
            // The one before it still stands; after a crash a little more is read again.
            Err(trouble) if trouble.may_pass() => {
                self.effects.hear(&Happening::Unsaved(&trouble));
                Ok(())
            }
            kept => kept,
        }
    }

    /// Writes a snapshot; nothing goes on without it.
    ///
    /// # Errors
    /// It cannot be written now.
    pub(super) fn keep(&mut self) -> Result<(), Trouble> {
        let began = self.effects.now();
        let written = self.write_snapshot();
        self.saved = self.effects.now();
        self.took = self.saved - began;
        if let Some((kind, size)) = written? {
            let took = self.took;
            self.effects.hear(&Happening::Saved { kind, size, took });
        }
        Ok(())
    }

    /// `None` while the engine holds something that is not committed, and once nothing more comes.
    fn write_snapshot(&mut self) -> Result<Option<(Kind, usize)>, Trouble> {
        if self.is_closed {
            return Ok(None);
        }
        // What the frontier leaves behind must not be lost with a power cut. First, for what is taken from
        // the engine and then not saved would be missing from the next increment.
        self.effects.sync_letters()?;
        let Some((taken, place)) = self.course.snapshot(self.effects.due()) else {
            return Ok(None);
        };
        let kind = taken.kind;
        let size = self.effects.save(taken, &place)?;
        self.kept.clone_from(&place.frontier);
        self.effects.publish(place.frontier);
        Ok(Some((kind, size)))
    }

    /// Takes out what is kept long enough, by the clock and by event time: events recorded long ago
    /// are not old before they have been told.
    pub(super) fn prune(&mut self) -> Result<(), Trouble> {
        let now = self.effects.now();
        if now - self.pruned < self.settings.prune_every {
            return Ok(());
        }
        let told = self.course.engine.stats().watermark.0.min(now.0);
        let alerts = EventTime(told.saturating_sub(self.settings.keep.0));
        let actions = now - self.settings.keep;
        let gone = self.course.desk.prune(alerts, actions, PRUNE_MAX)?;
        // Where there are more, the next turn goes on.
        if gone < PRUNE_MAX {
            self.pruned = now;
        }
        Ok(())
    }
}
