//! What the turn touches outside the engine and the desk, and what it tells those who look on.
//!
//! Owns the seam only. Invariant: nothing that the turn decides depends on whether anybody hears of it.

use std::sync::Arc;
use std::time::Instant;

use crate::app::commit::Committed;
use crate::app::dead::Unwritten;
use crate::app::pipeline::{Intake, Rules};
use crate::app::state_dir::Place;
use crate::decode::DeadLetter;
use crate::engine::alert::Alert;
use crate::engine::containment::policy::State;
use crate::engine::exchange::Origin;
use crate::engine::program::Program;
use crate::engine::rule::Usage;
use crate::engine::snapshot::{Kind, Restored, Taken};
use crate::engine::watermark::Passed;
use crate::model::fault::Class;
use crate::model::{Span, WallTime};
use crate::source::Notice;
use crate::source::ledger::Frontier;
use crate::store::StoreError;
use crate::store::snapshot::SnapshotError;

/// The world as the turn needs it. What has failed and may pass is asked for again, the same.
pub trait Effects {
    /// Wall time, which only goes forward.
    fn now(&self) -> WallTime;

    /// Writes dead letters; `names` are the topics by their numbers.
    ///
    /// # Errors
    /// They are not all written.
    fn bury(&mut self, names: &[String], letters: &[(Origin, DeadLetter)]) -> Result<(), Trouble>;

    /// Waits until dead letters that were written survive a power cut.
    ///
    /// # Errors
    /// They may not.
    fn sync_letters(&mut self) -> Result<(), Trouble>;

    /// Of which kind the next snapshot is to be.
    fn due(&self) -> Kind;

    /// Writes a snapshot durably; tells its bytes.
    ///
    /// # Errors
    /// It is not written; those before it stand.
    fn save(&mut self, taken: Taken, place: &Place) -> Result<usize, Trouble>;

    /// Tells the source how far the newest snapshot reaches.
    fn publish(&mut self, frontier: Frontier);

    /// Has what is read from now on routed by these rules.
    fn put_back(&mut self, rules: Arc<Rules>);

    /// Tells those who look on.
    fn hear(&mut self, what: &Happening<'_>);

    /// A place where a test may end the life (`crash::POINTS`).
    ///
    /// # Errors
    /// It ends here.
    fn point(&mut self, name: &'static str) -> Result<(), Trouble>;
}

/// What has happened.
pub enum Happening<'a> {
    /// A batch is in the engine; `passed` is what became of its events, by source.
    Taken {
        intake: &'a Intake,
        passed: &'a [Passed],
        program: &'a Program,
    },
    /// Other detectors are in force. `held` and `holds` are the rules' state before and after.
    Reloaded {
        before: &'a Program,
        after: &'a Program,
        restored: Restored,
        held: &'a [Usage],
        holds: &'a [Usage],
    },
    /// A changed detector alerts without end, and those of before are put back.
    Noisy(&'a str),
    /// The desk has gone over to the detectors in force, and closed these alerts of others.
    Adopted(&'a [Alert]),
    /// These are new in the store; `read_at` is when the batch that brought them was read.
    Told {
        alerts: &'a [Alert],
        read_at: Option<Instant>,
    },
    /// All that one commit has brought about.
    Committed {
        done: &'a Committed,
        state: &'a State,
    },
    /// The source gives what it has, and where it began is kept.
    Reading,
    /// The source said this, and it is heeded.
    Heeded(&'a Notice),
    /// A snapshot of this many bytes is written.
    Saved { kind: Kind, size: usize, took: Span },
    /// There was no place for a snapshot; the next is tried when it is due.
    Unsaved(&'a Trouble),
}

/// What could not be made durable.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Letters(#[from] Unwritten),
    #[error(transparent)]
    Snapshot(#[from] anyhow::Error),
}

impl Trouble {
    /// What could not be written, for people.
    #[must_use]
    pub const fn part(&self) -> &'static str {
        match self {
            Self::Store(_) => "store",
            Self::Letters(_) => "dead letters",
            Self::Snapshot(_) => "snapshot",
        }
    }

    /// Whether the same may succeed later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        let class = match self {
            Self::Store(error) => error.class(),
            Self::Letters(error) => error.class(),
            Self::Snapshot(error) => match error.downcast_ref::<SnapshotError>() {
                Some(error) => error.class(),
                None => Class::Fatal,
            },
        };
        class.may_pass()
    }
}
