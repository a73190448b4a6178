//! The daemon's edges on virtual time: what the turn (`tidegate::app::turn`) touches in one life.
//!
//! Owns what a life knows of the disk and of the source; both outlive it. Mutants that break an effect
//! are here: the turn itself is the product's.

use std::sync::Arc;

use tidegate::app::pipeline::Rules;
use tidegate::app::state_dir::{Place, Snapshots};
use tidegate::app::turn::{Effects, Happening, Trouble};
use tidegate::decode::DeadLetter;
use tidegate::engine::exchange::Origin;
use tidegate::engine::snapshot::{Kind, Taken};
use tidegate::model::WallTime;
use tidegate::source::Source as _;
use tidegate::source::ledger::Frontier;
use tidegate::store::StoreError;
use tidegate::store::snapshot::SnapshotError;

use crate::crash::Crashes;
use crate::detectors::EDITED;
use crate::disk::{Disk, Tear};
use crate::fact::is_raw;
use crate::log::Reader;
use crate::mutant::Mutant;
use crate::node::Stopped;
use crate::rig::Found;

pub struct Edges {
    /// What the process takes for the time.
    pub now: i64,
    pub reader: Reader,
    /// By what is read from now on.
    pub rules: Arc<Rules>,
    pub snapshots: Snapshots,
    pub disk: Disk,
    pub crashes: Crashes,
    pub mutant: Mutant,
    /// Alerts inside the engine's state of which it is not known that they are stored.
    pub found: Found,
    /// How far the newest snapshot of this life reaches.
    pub saved: Option<Frontier>,
    /// What was taken from the engine last was not saved: an increment would leave it out.
    pub gap: bool,
    /// For the trace.
    pub said: Vec<String>,
}

impl Edges {
    fn died(_: Stopped) -> Trouble {
        Trouble::Store(StoreError::Crashed(0))
    }

    /// The process dies in the middle of the snapshot, or right after it.
    fn die(&mut self, taken: Taken, place: &Place, tear: Tear) -> Trouble {
        self.disk
            .write_torn(&mut self.snapshots, taken, place, tear);
        Self::died(self.crashes.kill())
    }
}

impl Effects for Edges {
    fn now(&self) -> WallTime {
        WallTime(self.now)
    }

    fn bury(&mut self, _: &[String], letters: &[(Origin, DeadLetter)]) -> Result<(), Trouble> {
        if self.disk.is_full() {
            return Err(StoreError::Full.into());
        }
        if self.mutant != Mutant::LettersLost {
            self.disk.bury(letters);
        }
        Ok(())
    }

    fn sync_letters(&mut self) -> Result<(), Trouble> {
        if self.mutant != Mutant::LettersUnsynced {
            self.disk.sync();
        }
        Ok(())
    }

    fn due(&self) -> Kind {
        // Bases come seldom; one is written at once where the process is to die in it.
        if self.gap || self.crashes.awaits("base-") {
            return Kind::Base;
        }
        self.snapshots.due()
    }

    fn save(&mut self, taken: Taken, place: &Place) -> Result<usize, Trouble> {
        let (kind, hash) = (taken.kind, blake3::hash(&taken.body.concat()));
        self.said
            .push(format!("{kind:?} {hash} {:?}", place.frontier));
        self.gap = true;
        if taken.body.iter().any(|part| is_raw(part)) {
            self.disk
                .accuse("INV-07", "a secret is in a snapshot".to_owned());
        }
        if let Some(alert) = self.found.uncommitted() {
            let wrong = format!("alert {alert} is in a snapshot, and not in the store");
            self.disk.accuse("INV-05", wrong);
        }
        if self.disk.is_full() {
            let error = SnapshotError::Full("snapshot".into());
            return Err(Trouble::Snapshot(error.into()));
        }
        if let Some(tear) = self.disk.take_tear() {
            return Err(self.die(taken, place, tear));
        }
        let (begun, written, durable): (_, _, &[_]) = match kind {
            Kind::Base => (
                "base-begun",
                "base-written",
                &["base-renamed", "snapshots-pruning"],
            ),
            Kind::Increment => (
                "increment-begun",
                "increment-written",
                &["increment-renamed"],
            ),
        };
        self.point(begun)?;
        if self.point(written).is_err() {
            return Err(self.die(taken, place, Tear::BeforeRename));
        }
        if self.mutant != Mutant::SnapshotForgotten {
            self.snapshots.save(taken, place)?;
            self.saved = Some(place.frontier.clone());
            self.gap = false;
        }
        durable.iter().try_for_each(|name| self.point(name))?;
        Ok(0)
    }

    fn publish(&mut self, frontier: Frontier) {
        if self.saved.as_ref() != Some(&frontier) {
            let wrong = format!("{frontier:?} is published, {:?} is saved", self.saved);
            self.disk.accuse("INV-05", wrong);
        }
        self.reader.publish(&frontier);
        // If it dies here, the next thing it tries fails.
        drop(self.crashes.point("frontier-published"));
    }

    fn put_back(&mut self, _: Arc<Rules>) {
        unreachable!("no detector of the simulation is noise");
    }

    fn hear(&mut self, what: &Happening<'_>) {
        match what {
            Happening::Reloaded {
                before,
                after,
                restored,
                ..
            } => {
                let unchanged = after.plan.detectors.iter();
                let unchanged = unchanged.filter(|d| !EDITED.contains(&d.name.as_str()));
                let same = Arc::ptr_eq(&before.plan, &after.plan);
                let all = if same {
                    after.plan.detectors.len()
                } else {
                    unchanged.count()
                };
                assert_eq!(restored.kept, all, "rules that kept their state");
            }
            Happening::Unsaved(trouble) => self.said.push(trouble.to_string()),
            _ => {}
        }
    }

    fn point(&mut self, name: &'static str) -> Result<(), Trouble> {
        self.crashes.point(name).map_err(Self::died)
    }
}
