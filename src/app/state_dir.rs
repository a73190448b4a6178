//! The state folder: hash key, store, snapshots. Opened once, by one process.

#![expect(
    clippy::disallowed_methods,
    reason = "makes and reads the hash key's file"
)]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::config::shape::StoreKind;
use crate::engine::snapshot::{Kind, Taken};
use crate::model::HashKey;
use crate::source::ledger::{Frontier, Last, Logs};
use crate::store::disk::sync_dir;
use crate::store::redb::RedbStore;
use crate::store::rows;
use crate::store::snapshot::{self, Digest, Snapshot};
use crate::store::{self, Store};

/// The snapshots' name.
const ENGINE: &str = "engine";
/// So many increments stand on a base at most: a start opens each of them.
const INCREMENTS_MAX: usize = 64;
/// A base is due when its increments have come to this part of it: a start reads no more than that beyond it.
const BASE_PARTS: usize = 2;

/// See the module's text.
pub struct StateDir {
    pub key: HashKey,
    pub store: Arc<dyn Store>,
    pub snapshots: Snapshots,
    dir: PathBuf,
}

/// The snapshot files of the engine, and of which kind the next one is.
pub struct Snapshots {
    dir: PathBuf,
    key_id: String,
    generation: u64,
    /// What the next increment stands on; `None` where the next one is a base: at first, and after one
    /// that could not be written.
    stands_on: Option<Chain>,
    /// Those that `load` gave and the engine could not take up, and why.
    passed_over: BTreeMap<u64, String>,
    /// What `load` gave last is not the newest there is.
    is_fallback: bool,
}

/// A base and its increments, as they were written.
struct Chain {
    newest: Digest,
    /// Bytes of the base, and of all increments together.
    base: usize,
    increments: usize,
    count: usize,
}

impl Chain {
    const fn is_long(&self) -> bool {
        self.count >= INCREMENTS_MAX || self.increments >= self.base / BASE_PARTS
    }
}

/// Opens the rows, where they are and in no second place: an empty store beside a full one would
/// forget what was told.
fn open_store(dir: &Path, kind: StoreKind) -> anyhow::Result<Arc<dyn Store>> {
    let (redb, sled) = (dir.join("tidegate.redb"), dir.join("tidegate.sled"));
    let other = match kind {
        StoreKind::Redb => &sled,
        StoreKind::Sled => &redb,
    };
    if other.exists() {
        bail!(
            "{} is the store of before: set state.store back, or give another state.dir",
            other.display()
        );
    }
    match kind {
        StoreKind::Redb => Ok(Arc::new(RedbStore::open(&redb)?)),
        StoreKind::Sled => open_sled(&sled),
    }
}

#[cfg(feature = "sled")]
fn open_sled(path: &Path) -> anyhow::Result<Arc<dyn Store>> {
    tracing::warn!("{}", store::sled::WARNING);
    Ok(Arc::new(store::sled::SledStore::open(path)?))
}

#[cfg(not(feature = "sled"))]
fn open_sled(_: &Path) -> anyhow::Result<Arc<dyn Store>> {
    bail!(
        "this tidegate was built without sled: build it with `--features sled`, or set state.store: redb"
    )
}

/// Where a snapshot stands in the sources, and what they were called.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// The topics by the numbers that the snapshot uses.
    pub topics: Vec<String>,
    pub frontier: Frontier,
    /// The records just before it.
    #[serde(default)]
    pub last: Last,
    /// The logs that both are of.
    #[serde(default)]
    pub logs: Logs,
    /// The commits that what was read up to there has brought about.
    #[serde(default)]
    pub commits: u64,
}

impl StateDir {
    /// Opens the folder, making what is missing.
    ///
    /// # Errors
    /// It cannot be made or read, another process has it, or it belongs to another hash key.
    pub fn open(dir: &Path, kind: StoreKind, key_file: Option<&Path>) -> anyhow::Result<Self> {
        let above = newest_before(dir);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| {
                format!(
                    "cannot make the state folder {}; set state.dir",
                    dir.display()
                )
            })?;
        let key = match key_file {
            Some(path) => read_key(path)?,
            None => own_key(&dir.join("hash.key"))?,
        };
        let store = open_store(dir, kind)
            .with_context(|| format!("cannot open the store in {}", dir.display()))?;
        sync_names(dir, above).with_context(|| format!("cannot sync {}", dir.display()))?;
        store::write(&*store, |tx| rows::bind_key(tx, &key.id()))?;
        let snapshots = Snapshots::open(&dir.join("snapshots"), &key);
        Ok(Self {
            key,
            store,
            snapshots,
            dir: dir.to_owned(),
        })
    }

    /// Path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }
}

impl Snapshots {
    /// Those in this folder that were made under this key; the folder need not exist yet.
    #[must_use]
    pub fn open(dir: &Path, key: &HashKey) -> Self {
        Self {
            dir: dir.to_owned(),
            key_id: key.id(),
            generation: 0,
            stands_on: None,
            passed_over: BTreeMap::new(),
            is_fallback: false,
        }
    }

    /// The newest good snapshot: the engine's bytes, a base and its increments, and its place. One that stands
    /// on more than the store's `commits` is not: from there on, what the store has lost would not be told again.
    ///
    /// # Errors
    /// There are snapshots, and none can be used.
    pub fn load(&mut self, commits: u64) -> anyhow::Result<Option<(Vec<Vec<u8>>, Place)>> {
        let fits = |snapshot: &Snapshot| {
            if let Some(why) = self.passed_over.get(&snapshot.generation) {
                return Err(format!("cannot be taken up: {why}"));
            }
            match place_of(snapshot) {
                Ok(place) if place.commits > commits => {
                    Err("is newer than the store, which is one of before".to_owned())
                }
                Ok(_) => Ok(()),
                Err(error) => Err(format!("has a frontier that cannot be read: {error}")),
            }
        };
        let found = snapshot::read_fitting(&self.dir, ENGINE, &self.key_id, &fits)?;
        for (path, why) in &found.damaged {
            tracing::error!(path = %path.display(), why, "a snapshot cannot be used; the one before it is");
        }
        self.is_fallback = !found.damaged.is_empty();
        let Some(newest) = found.chain.last() else {
            return Ok(None);
        };
        self.generation = newest.generation;
        let place = place_of(newest)?;
        let bodies = found.chain.into_iter().map(|s| s.body).collect();
        Ok(Some((bodies, place)))
    }

    /// The engine could not take up what was loaded last: the next `load` gives the one before it.
    pub fn pass_over(&mut self, why: String) {
        self.passed_over.insert(self.generation, why);
    }

    /// Whether newer ones were left out for what `load` gave.
    #[must_use]
    pub const fn is_fallback(&self) -> bool {
        self.is_fallback
    }

    /// Of which kind the next one is to be.
    #[must_use]
    pub fn due(&self) -> Kind {
        match &self.stands_on {
            Some(chain) if !chain.is_long() => Kind::Increment,
            _ => Kind::Base,
        }
    }

    /// Writes a snapshot durably. Returns its size.
    ///
    /// # Errors
    /// It could not be written; the ones before it are untouched, and the next one is a base.
    pub fn save(&mut self, taken: Taken, place: &Place) -> anyhow::Result<usize> {
        let before = self.stands_on.take();
        let size = taken.body.iter().map(Vec::len).sum();
        let generation = self.generation + 1;
        let snapshot = Snapshot {
            generation,
            key_id: self.key_id.clone(),
            frontier: serde_json::to_vec(place)?,
            body: taken.body,
        };
        let chain = match (taken.kind, before) {
            (Kind::Base, _) => Chain {
                newest: snapshot::write(&self.dir, ENGINE, &snapshot)?.digest,
                base: size,
                increments: 0,
                count: 0,
            },
            (Kind::Increment, Some(chain)) => Chain {
                newest: snapshot::append(&self.dir, ENGINE, &snapshot, &chain.newest)?.digest,
                increments: chain.increments + size,
                count: chain.count + 1,
                ..chain
            },
            (Kind::Increment, None) => bail!("an increment needs a base to stand on"),
        };
        (self.generation, self.stands_on) = (generation, Some(chain));
        Ok(size)
    }
}

/// The folder itself, or the nearest above it, that is there already.
fn newest_before(dir: &Path) -> PathBuf {
    let there = dir.ancestors().find(|d| d.is_dir());
    // A relative path's last ancestor is empty: it stands in the current folder.
    there.unwrap_or_else(|| Path::new(".")).to_owned()
}

/// What was just made must still be there after a power cut: the names in the folder, and those of the folders
/// from it up to the one that was `there` before.
fn sync_names(dir: &Path, there: PathBuf) -> std::io::Result<()> {
    let (dir, there) = (dir.canonicalize()?, there.canonicalize()?);
    for made in dir.ancestors().take_while(|d| d.starts_with(&there)) {
        sync_dir(made)?;
    }
    Ok(())
}

fn place_of(snapshot: &Snapshot) -> serde_json::Result<Place> {
    serde_json::from_slice(&snapshot.frontier)
}

fn read_key(path: &Path) -> anyhow::Result<HashKey> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the hash key {}", path.display()))?;
    let mut secret = [0; 32];
    if hex::decode_to_slice(text.trim(), &mut secret).is_err() {
        bail!(
            "{} is no hash key: 64 hex digits are expected; make one with `openssl rand -hex 32`",
            path.display()
        );
    }
    Ok(HashKey::new(secret))
}

fn own_key(path: &Path) -> anyhow::Result<HashKey> {
    // Of a link that leads nowhere `try_exists` says no.
    let is_there = path
        .try_exists()
        .map(|found| found || path.symlink_metadata().is_ok());
    if !is_there.with_context(|| format!("cannot look for the hash key {}", path.display()))? {
        make_key(path).with_context(|| format!("cannot make the hash key {}", path.display()))?;
    }
    read_key(path)
}

/// Written aside and linked in: a crash leaves no half key behind, and of two processes that begin at once the
/// second takes the first one's.
fn make_key(path: &Path) -> anyhow::Result<()> {
    let mut secret = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut f| f.read_exact(&mut secret))
        .context("no randomness from the system")?;
    let aside = path.with_extension(format!("writing-{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)?;
    writeln!(file, "{}", hex::encode(secret))?;
    file.sync_all()?;
    let linked = fs::hard_link(&aside, path);
    fs::remove_file(&aside)?;
    match linked {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        linked => linked?,
    }
    if let Some(dir) = path.parent() {
        sync_dir(dir)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
