//! The snapshot files, through the product's own code, the dead letters, and what a crash leaves of both.
//!
//! Owns a folder that is gone with the run. Torn files are what the product must find and pass over.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use tempfile::TempDir;
use tidegate::app::state_dir::{Place, Snapshots};
use tidegate::decode::DeadLetter;
use tidegate::engine::exchange::Origin;
use tidegate::engine::snapshot::Taken;
use tidegate::model::HashKey;

use crate::fact::is_raw;

/// What happens to a snapshot that is being written when the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// It was not renamed: half of it stands aside.
    BeforeRename,
    /// It was renamed, but its content did not reach the disk.
    Torn,
    /// It is whole.
    After,
}

/// A handle; all share one disk.
#[derive(Clone)]
pub struct Disk {
    dir: Rc<TempDir>,
    key: HashKey,
    state: Rc<RefCell<State>>,
}

#[derive(Default)]
struct State {
    is_full: bool,
    /// What happens to the next snapshot.
    tear: Option<Tear>,
    /// Where dead letters stand for, in the order in which they were written.
    letters: Vec<(i32, i64)>,
    /// How many of them survive a power cut.
    synced: usize,
    /// What was written that must not be, by the number of the promise.
    wrongs: BTreeMap<&'static str, String>,
}

impl Disk {
    pub fn new(key: HashKey) -> Self {
        Self {
            dir: Rc::new(tempfile::tempdir().unwrap()),
            key,
            state: Rc::default(),
        }
    }

    pub fn open(&self) -> Snapshots {
        Snapshots::open(self.dir.path(), &self.key)
    }

    pub fn set_full(&self, is_full: bool) {
        self.state.borrow_mut().is_full = is_full;
    }

    pub fn is_full(&self) -> bool {
        self.state.borrow().is_full
    }

    /// Tears the next snapshot.
    pub fn tear(&self, tear: Tear) {
        self.state.borrow_mut().tear = Some(tear);
    }

    pub fn has_tear(&self) -> bool {
        self.state.borrow().tear.is_some()
    }

    pub fn take_tear(&self) -> Option<Tear> {
        self.state.borrow_mut().tear.take()
    }

    pub fn bury(&self, letters: &[(Origin, DeadLetter)]) {
        let mut state = self.state.borrow_mut();
        for (origin, letter) in letters {
            state.letters.push((origin.partition, origin.offset));
            if is_raw(letter.detail.as_bytes()) {
                let wrong = format!("a secret is in a dead letter: {}", letter.detail);
                state.wrongs.insert("INV-07", wrong);
            }
        }
    }

    pub fn sync(&self) {
        let mut state = self.state.borrow_mut();
        state.synced = state.letters.len();
    }

    /// The power goes.
    pub fn cut(&self) {
        let mut state = self.state.borrow_mut();
        let synced = state.synced;
        state.letters.truncate(synced);
    }

    /// Where dead letters stand for that survive a power cut.
    pub fn letters(&self) -> BTreeSet<(i32, i64)> {
        let state = self.state.borrow();
        state.letters[..state.synced].iter().copied().collect()
    }

    /// Something was written that must not be.
    pub fn accuse(&self, promise: &'static str, wrong: String) {
        self.state.borrow_mut().wrongs.insert(promise, wrong);
    }

    /// What was written against a promise, in any life.
    pub fn wrong(&self, promise: &str) -> Option<String> {
        self.state.borrow().wrongs.get(promise).cloned()
    }

    /// Writes a snapshot as a death in the middle of it leaves it.
    pub fn write_torn(&self, snapshots: &mut Snapshots, taken: Taken, place: &Place, tear: Tear) {
        if tear == Tear::BeforeRename {
            let body = taken.body.concat();
            let aside = self.dir.path().join("engine.writing");
            std::fs::write(aside, &body[..body.len() / 2]).unwrap();
            return;
        }
        snapshots.save(taken, place).unwrap();
        if tear == Tear::Torn {
            let newest = self.files().pop().unwrap();
            let whole = std::fs::read(&newest).unwrap();
            std::fs::write(&newest, &whole[..whole.len() * 2 / 3]).unwrap();
        }
    }

    /// Spoils one of the files: more often than not one of the newest chain. Tells how many files of that
    /// chain are before it, and how many behind it; none if it is of an older one.
    pub fn damage(&self, pick: u64) -> Option<(usize, usize)> {
        let files = self.files();
        let is_base = |path: &PathBuf| path.extension().is_some_and(|e| e == "snapshot");
        let base = files.iter().rposition(is_base)?;
        let from = if pick.is_multiple_of(4) { 0 } else { base };
        let at = from + usize::try_from(pick / 4).unwrap() % (files.len() - from);
        let mut bytes = std::fs::read(&files[at]).unwrap();
        let place = usize::try_from(pick / 64).unwrap() % bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(place) {
            *byte ^= 1 << (pick % 8);
        }
        std::fs::write(&files[at], bytes).unwrap();
        Some((at.checked_sub(base)?, files.len() - 1 - at))
    }

    /// Puts all snapshots away: the next start reads the log from its beginning.
    pub fn clear(&self) {
        for file in self.files() {
            std::fs::remove_file(file).unwrap();
        }
    }

    /// The files of all snapshots, oldest first.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|e| e == "snapshot" || e == "increment")
            })
            .collect();
        files.sort();
        files
    }
}
