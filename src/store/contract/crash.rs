//! What is left when the process dies, or the power goes, at any moment of some commits: those that had returned
//! are there, each is there whole or not at all, and they are there in their order.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ::redb::StorageBackend;

use super::*;
use crate::model::fault::Class;

const COMMITS: usize = 4;

/// The n-th commit: two rows of its own and one that each of them writes anew.
fn commit(store: &dyn Store, n: usize, meanwhile: &mut dyn FnMut()) -> Result<(), StoreError> {
    write(store, |tx| {
        put(tx, &format!("a{n}"), "1")?;
        put(tx, "last", &n.to_string())?;
        meanwhile();
        put(tx, &format!("b{n}"), &"2".repeat(3000))
    })
}

/// Holds what was found against how many commits had returned; the next one may be there, too.
fn check(store: &dyn Store, returned: usize, moment: &str) {
    let found = read(store, |v| {
        let has = |row: &str, n: usize| text(v, &format!("{row}{n}")).is_some();
        let rows = (1..=COMMITS).map(|n| (has("a", n), has("b", n)));
        Ok((rows.collect::<Vec<_>>(), text(v, "last")))
    });
    let (rows, last) = found.unwrap_or_else(|e| panic!("{moment}: {e}"));
    let there = rows.iter().take_while(|row| **row == (true, true)).count();
    assert!(
        rows.iter().skip(there).all(|row| *row == (false, false)),
        "{moment}: commits are whole and in order: {rows:?}"
    );
    let last = last.map_or(0, |n| n.parse().unwrap());
    assert_eq!(last, there, "{moment}: a row is of its newest commit");
    assert!(
        (returned..=returned + 1).contains(&there),
        "{moment}: {there} are there, {returned} had returned"
    );
}

#[test]
fn memory_dies_at_every_step() {
    let script = |store: &MemoryStore, returned: &mut usize| {
        for n in 1..=COMMITS {
            commit(store, n, &mut || {})?;
            *returned = n;
        }
        Ok(())
    };
    let whole = MemoryStore::new();
    script(&whole, &mut 0).unwrap();
    for step in 0..whole.steps() {
        let (store, mut returned) = (MemoryStore::new(), 0);
        store.crash_at(step);
        let died = script(&store, &mut returned);
        assert!(matches!(died, Err(StoreError::Crashed(_))));
        assert!(store.read(&mut |_| Ok(())).is_err(), "dead until restarted");
        store.restart();
        check(&store, returned, &format!("step {step}"));
    }
}

/// The files as another process finds them, while they are open and a commit is on its way.
fn dies_in_a_folder(open: &dyn Fn(&Path) -> Box<dyn Store>) {
    let home = tempfile::tempdir().unwrap();
    let (here, mut left) = (home.path().join("here"), Vec::new());
    std::fs::create_dir(&here).unwrap();
    let store = open(&here);
    let mut keep = |returned: usize| {
        let there = home.path().join(format!("left-{}", left.len()));
        copy(&here, &there);
        left.push((there, returned));
    };
    for n in 1..=COMMITS {
        commit(&*store, n, &mut || keep(n - 1)).unwrap();
        keep(n);
    }
    for (folder, returned) in left {
        let moment = format!("{}", folder.display());
        check(&*open(&folder), returned, &moment);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &name);
        } else {
            std::fs::copy(entry.path(), name).unwrap();
        }
    }
}

#[test]
fn redb_dies_within_and_between_commits() {
    dies_in_a_folder(&|dir| Box::new(RedbStore::open(&dir.join("tidegate.redb")).unwrap()));
}

#[cfg(feature = "sled")]
#[test]
fn sled_dies_within_and_between_commits() {
    dies_in_a_folder(&|dir| {
        Box::new(super::super::sled::SledStore::open(&dir.join("sled")).unwrap())
    });
}

#[derive(Clone, Debug)]
enum Done {
    Write(u64, Vec<u8>),
    Length(u64),
    Sync,
}

/// A disk that remembers all that was asked of it, and can be made to fail.
#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<Recorded>>);

#[derive(Debug, Default)]
struct Recorded {
    bytes: Vec<u8>,
    done: Vec<Done>,
    /// Writes fail from so many calls on.
    fails_from: Option<usize>,
}

impl Recorder {
    fn calls(&self) -> usize {
        self.0.lock().unwrap().done.len()
    }

    fn enter(&self, done: Done) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        if disk.fails_from.is_some_and(|from| disk.done.len() >= from) {
            return Err(io::Error::from_raw_os_error(5));
        }
        apply(&done, &mut disk.bytes);
        disk.done.push(done);
        Ok(())
    }

    /// What a power cut after so many calls leaves: what was synced, and of the rest what `keeps` says,
    /// in whole or in half.
    fn left(&self, calls: usize, keeps: &mut dyn FnMut() -> Kept) -> Vec<u8> {
        let disk = self.0.lock().unwrap();
        let done = &disk.done[..calls];
        let synced = done.iter().rposition(|d| matches!(d, Done::Sync));
        let mut bytes = Vec::new();
        for (i, call) in done.iter().enumerate() {
            let kept = if synced.is_some_and(|s| i <= s) {
                Kept::Whole
            } else {
                keeps()
            };
            match (kept, call) {
                (Kept::Whole, call) => apply(call, &mut bytes),
                (Kept::Half, Done::Write(at, data)) => {
                    apply(
                        &Done::Write(*at, data[..data.len() / 2].to_vec()),
                        &mut bytes,
                    );
                }
                _ => {}
            }
        }
        bytes
    }
}

#[derive(Clone, Copy)]
enum Kept {
    Whole,
    Half,
    Nothing,
}

fn apply(done: &Done, bytes: &mut Vec<u8>) {
    match done {
        Done::Write(at, data) => {
            let at = usize::try_from(*at).unwrap();
            bytes.resize(bytes.len().max(at + data.len()), 0);
            bytes[at..at + data.len()].copy_from_slice(data);
        }
        Done::Length(length) => bytes.resize(usize::try_from(*length).unwrap(), 0),
        Done::Sync => {}
    }
}

impl StorageBackend for Recorder {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let disk = self.0.lock().unwrap();
        let from = usize::try_from(offset).unwrap();
        let part = disk.bytes.get(from..from + out.len());
        out.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.enter(Done::Length(length))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.enter(Done::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.enter(Done::Write(offset, data.to_vec()))
    }
}

/// After each call to the disk: all that was not synced is lost, or none of it, or each write for itself.
#[test]
fn redb_loses_power_after_every_write() {
    let disk = Recorder::default();
    let store = RedbStore::over(disk.clone()).unwrap();
    let begun = disk.calls();
    let mut returned = Vec::new();
    for n in 1..=COMMITS {
        commit(&store, n, &mut || {}).unwrap();
        returned.push(disk.calls());
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tidegate.redb");
    let mut state = 7_u64;
    let mut chance = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        [Kept::Whole, Kept::Half, Kept::Nothing][(state >> 33) as usize % 3]
    };
    for calls in begun..=*returned.last().unwrap() {
        let safe = returned.iter().filter(|r| **r <= calls).count();
        let ways: [(&str, &mut dyn FnMut() -> Kept); 3] = [
            ("none of it", &mut || Kept::Nothing),
            ("all of it", &mut || Kept::Whole),
            ("some of it", &mut chance),
        ];
        for (way, keeps) in ways {
            std::fs::write(&path, disk.left(calls, keeps)).unwrap();
            let moment = format!("call {calls}, {way} kept");
            let store = RedbStore::open(&path).unwrap_or_else(|e| panic!("{moment}: {e}"));
            check(&store, safe, &moment);
        }
    }
}

/// A disk that fails ends it for good: nothing later succeeds, also when the disk would work again.
#[test]
fn redb_goes_on_after_no_failed_write() {
    let calls = {
        let disk = Recorder::default();
        let store = RedbStore::over(disk.clone()).unwrap();
        let begun = disk.calls();
        commit(&store, 1, &mut || {}).unwrap();
        begun..disk.calls()
    };
    for fails_from in calls {
        let disk = Recorder::default();
        let store = RedbStore::over(disk.clone()).unwrap();
        disk.0.lock().unwrap().fails_from = Some(fails_from);
        let failed = commit(&store, 1, &mut || {}).unwrap_err();
        assert_eq!(failed.class(), Class::Fatal, "{failed}");
        disk.0.lock().unwrap().fails_from = None;
        let again = commit(&store, 2, &mut || {}).unwrap_err();
        assert_eq!(again.class(), Class::Fatal, "{again}");
    }
}
