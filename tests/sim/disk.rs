//! The snapshot files, through the product's own code, and what a crash leaves of them.
//!
//! Owns a folder that is gone with the run. Torn files are what the product must find and pass over.

use std::path::PathBuf;

use tempfile::TempDir;
use tidegate::app::state_dir::{Place, Snapshots};
use tidegate::engine::snapshot::Taken;
use tidegate::model::HashKey;

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

pub struct Disk {
    dir: TempDir,
    key: HashKey,
}

impl Disk {
    pub fn new(key: HashKey) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            key,
        }
    }

    pub fn open(&self) -> Snapshots {
        Snapshots::open(self.dir.path(), &self.key)
    }

    /// Writes a snapshot and dies in the middle of it, or right after.
    pub fn write_and_die(
        &self,
        snapshots: &mut Snapshots,
        taken: Taken,
        place: &Place,
        tear: Tear,
    ) {
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
