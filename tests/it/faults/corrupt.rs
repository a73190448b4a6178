//! (T28, T29) What is on disk is not what was written: flipped, cut, zeroed, from another time or
//! another version. It is found before it is used, and nobody counts on from it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate::model::HashKey;
use tidegate::store::redb::RedbStore;
use tidegate::store::snapshot;
use tidegate::store::{self, Range, StoreError, Table};

use super::{Scene, floods, row};
use crate::harness::command::Run;
use crate::harness::daemon::Daemon;
use crate::harness::{kafka, scratch, share, sized, store as backend};

const ENGINE: &str = "engine";
const BASE: &str = "snapshot";
const INCREMENT: &str = "increment";
const PAGE: usize = 4096;
pub(super) const FAILED: i32 = 3;
/// Damages that are asked for.
const DAMAGES: u64 = 10_000;
/// Damages to the store that every change can afford: each is a file that is opened and read whole.
const STORE_DAMAGES: u64 = 2_000;

/// Whether the store is redb, whose file a test changes or has kept; if not, a row says what is left out.
pub(super) fn is_redb(fault: &str) -> bool {
    let is_redb = backend() == "redb";
    if !is_redb {
        row(fault, &backend(), "left out: it is about a file of redb's");
    }
    is_redb
}

/// A way to damage a file, told by its number.
fn damage(n: u64, good: &[u8]) -> Vec<u8> {
    // Scattered over the file, the same in every run.
    let at = usize::try_from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16).unwrap() % good.len();
    let mut bad = good.to_vec();
    match n % 10 {
        8 => bad.truncate(at),
        9 => {
            let page = at / PAGE * PAGE;
            let end = (page + PAGE).min(bad.len());
            bad[page..end].fill(0);
        }
        bit => bad[at] ^= 1 << bit,
    }
    bad
}

/// The files of all snapshots, oldest first.
pub(super) fn snapshots(scene: &Scene) -> Vec<PathBuf> {
    let dir = scene.home.file("state/snapshots");
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<PathBuf> = entries
        .filter(|p| p.extension().is_some_and(|e| e == BASE || e == INCREMENT))
        .collect();
    files.sort();
    files
}

fn is_base(file: &Path) -> bool {
    file.extension().is_some_and(|e| e == BASE)
}

/// Until the life of this daemon, which has written a base, has put increments behind it.
fn chained(scene: &Scene, daemon: &Daemon, lives: usize) {
    daemon.until("a base and two increments", |_| {
        if !scene.home.file("state/snapshots").exists() {
            return None;
        }
        let files = snapshots(scene);
        let bases = files.iter().filter(|f| is_base(f)).count();
        let behind = files.iter().rev().take_while(|f| !is_base(f)).count();
        (bases >= lives && behind >= 2).then_some(())
    });
}

/// A state folder with two bases, increments behind each, and a store, of a daemon that was stopped.
fn written(topic: &str) -> Scene {
    let events = floods(40, 120);
    kafka::shared().topic(topic, 1);
    let scene = Scene::over(topic, topic, &events);
    let half = scene.home.file("half.jsonl");
    let (first, second) = events.split_at(events.match_indices('\n').nth(2400).unwrap().0 + 1);
    halfway(&scene, topic, first);
    std::fs::write(&half, second).unwrap();
    kafka::shared().produce(topic, &half);
    let daemon = scene.home.start().ready();
    daemon.caught_up(|| scene.is_told());
    chained(&scene, &daemon, 2);
    daemon.stop();
    scene
}

/// A life of the daemon over the first part of a stream.
fn halfway(scene: &Scene, topic: &str, first: &str) {
    let half = scene.home.file("half.jsonl");
    std::fs::write(&half, first).unwrap();
    kafka::shared().produce(topic, &half);
    let daemon = scene.home.start().ready();
    daemon.settled(first.lines().count() as u64);
    chained(scene, &daemon, 1);
    daemon.stop();
}

/// The generations of what is read, oldest first; and how many files were passed over for it.
fn used(dir: &Path) -> (Vec<u64>, usize) {
    let found = snapshot::read(dir, ENGINE, &HashKey::fixed().id()).unwrap();
    let generations = found.chain.iter().map(|s| s.generation).collect();
    (generations, found.damaged.len())
}

#[test]
fn every_damage_to_a_snapshot_is_found_and_the_one_before_it_is_used() {
    let scene = written("faults-snapshot");
    let dir = scratch("damaged-snapshots");
    let files: Vec<PathBuf> = snapshots(&scene)
        .iter()
        .map(|file| {
            let copy = dir.join(file.file_name().unwrap());
            std::fs::copy(file, &copy).unwrap();
            copy
        })
        .collect();
    let base = files.iter().rposition(|f| is_base(f)).unwrap();
    let (all, _) = used(&dir);
    assert_eq!(all.len(), files.len() - base, "a base and all behind it");
    let older: Vec<u64> = {
        let good = std::fs::read(&files[base]).unwrap();
        std::fs::write(&files[base], b"").unwrap();
        let (older, _) = used(&dir);
        std::fs::write(&files[base], good).unwrap();
        older
    };
    let count = sized("TIDEGATE_TEST_DAMAGES", DAMAGES);
    let mut found = 0;
    // The base, the first increment and the last one, a third of the damages each.
    for at in [base, base + 1, files.len() - 1] {
        let good = std::fs::read(&files[at]).unwrap();
        let want = match at - base {
            0 => &older[..],
            behind => &all[..behind],
        };
        // A page of zeros that is zeroed is none.
        let damages = (0..).map(|n| (n, damage(n, &good)));
        let damages = damages.filter(|(_, damaged)| *damaged != good);
        for (n, damaged) in damages.take(usize::try_from(count.div_ceil(3)).unwrap()) {
            std::fs::write(&files[at], damaged).unwrap();
            assert_eq!(used(&dir), (want.to_vec(), 1), "damage {n} to {at}");
            found += 1;
        }
        // Another good file under its name: the one before it.
        std::fs::copy(&files[at - 1], &files[at]).unwrap();
        assert_eq!(used(&dir), (want.to_vec(), 1), "an old file as {at}");
        std::fs::write(&files[at], good).unwrap();
    }

    // A base of before under the newest one's name; and an increment in the middle is gone.
    let good = std::fs::read(&files[base]).unwrap();
    let before = files[..base].iter().find(|f| is_base(f)).unwrap();
    std::fs::copy(before, &files[base]).unwrap();
    assert_eq!(used(&dir), (older, 1), "a base of before");
    std::fs::write(&files[base], good).unwrap();
    std::fs::remove_file(&files[base + 1]).unwrap();
    assert_eq!(used(&dir), (all[..1].to_vec(), 1), "an increment is gone");

    // The same through a whole start; and with a file of before under the newest's name.
    let newest = snapshots(&scene).pop().unwrap();
    std::fs::write(&newest, damage(1, &std::fs::read(&newest).unwrap())).unwrap();
    let tally = scene.recover();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    let [.., before, newest] = &snapshots(&scene)[..] else {
        panic!("more than one is kept")
    };
    std::fs::copy(before, newest).unwrap();
    let tally = scene.recover();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");

    // None is left that is good: it does not begin anew in silence.
    for file in snapshots(&scene) {
        std::fs::write(file, b"TIDEGATE").unwrap();
    }
    refuses(&scene, "no snapshot of engine is good");
    row(
        "T28 a damaged snapshot",
        &format!(
            "{} bit flips, cuts and zeroed pages in a base and in increments; an old file under a new name",
            share(found, DAMAGES)
        ),
        "all found before use; the one before it is read, lost 0, extra 0; no start without a good one",
    );
}

/// Starts the daemon, which must end by itself and say why.
fn refuses(scene: &Scene, why: &str) {
    let mut daemon = scene.home.spawn();
    let status = daemon.ended(Duration::from_secs(30));
    let log = daemon.log();
    assert_eq!(status.code(), Some(FAILED), "{log}");
    assert!(log.contains(why), "{why} is not in {log}");
    assert!(!log.contains("panicked at"), "{log}");
}

pub(super) type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// Every row, as whoever asks for it gets it.
pub(super) fn rows(file: &Path) -> Result<Rows, StoreError> {
    let store = RedbStore::open(file)?;
    let mut all = Rows::new();
    store::read(&store, |view| {
        for table in Table::ALL {
            view.scan(table, &Range::all(), &mut |key, value| {
                all.insert((table, key.to_vec()), value.to_vec());
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(())
    })?;
    Ok(all)
}

#[test]
fn no_damage_to_the_store_gives_another_row() {
    if !is_redb("T28 a damaged store") {
        return;
    }
    let scene = written("faults-store");
    let file = scene.home.file("state/tidegate.redb");
    let good = std::fs::read(&file).unwrap();
    let want = rows(&file).unwrap();
    assert!(want.len() > 100, "{} rows", want.len());
    let bad = scratch("damaged-store").join("tidegate.redb");
    let count = sized("TIDEGATE_TEST_DAMAGES", STORE_DAMAGES);
    let (mut told, mut harmless) = (0, 0);
    for n in 0..count {
        std::fs::write(&bad, damage(n, &good)).unwrap();
        match rows(&bad) {
            Err(error) => {
                assert!(
                    matches!(error, StoreError::Damaged { .. } | StoreError::Open { .. }),
                    "damage {n}: {error}"
                );
                told += 1;
            }
            Ok(got) => {
                assert!(got == want, "damage {n} gives other rows");
                harmless += 1;
            }
        }
    }
    assert!(told > 0, "no damage meets a page in use");

    // A page in use is zeroed: the daemon does not start on it, and says what to do.
    let page = good.len() / PAGE / 2;
    let hit = (page..good.len() / PAGE).find(|page| {
        let mut damaged = good.clone();
        damaged[page * PAGE..(page + 1) * PAGE].fill(0);
        std::fs::write(&bad, damaged).unwrap();
        matches!(rows(&bad), Err(StoreError::Damaged { .. }))
    });
    assert!(hit.is_some(), "no page is in use");
    std::fs::copy(&bad, &file).unwrap();
    refuses(&scene, "the store is damaged");
    std::fs::write(&file, &good).unwrap();
    let tally = scene.recover();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    row(
        "T28 a damaged store",
        &format!("{} bit flips, cuts and zeroed pages", share(count, DAMAGES)),
        &format!("{told} are told, {harmless} hit nothing in use; never another row"),
    );
}

#[test]
fn a_store_older_than_the_snapshots_is_not_counted_on_from() {
    let topic = "faults-old-store";
    let events = floods(8, 120);
    kafka::shared().topic(topic, 1);
    let mut scene = Scene::over(topic, topic, &events);
    // What was decided is lost with the store: only alerts come again as they were.
    scene.enforces = false;
    let config = std::fs::read_to_string(scene.home.file("tidegate.yaml")).unwrap();
    let containment = config.find("containment:").unwrap();
    scene.reconfigure(&config[containment..], "");
    let half = scene.home.file("half.jsonl");
    let (first, second) = events.split_at(events.match_indices('\n').nth(20).unwrap().0 + 1);
    halfway(&scene, topic, first);
    // A file of redb's, a folder of sled's.
    let file = scene.home.file(&format!("state/tidegate.{}", backend()));
    let old = scratch("old-store").join("kept");
    let copy = |from: &Path, to: &Path| {
        let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
        Run::new("cp", &["-a", from, to]).ok();
    };
    copy(&file, &old);
    std::fs::write(&half, second).unwrap();
    kafka::shared().produce(topic, &half);
    scene.recover();

    // The chain of the life that the old store is of would go on with it, rightly.
    let files = snapshots(&scene);
    let base = files.iter().rposition(|f| is_base(f)).unwrap();
    for before in &files[..base] {
        std::fs::remove_file(before).unwrap();
    }
    Run::new("rm", &["-r", file.to_str().unwrap()]).ok();
    copy(&old, &file);
    refuses(&scene, "is newer than the store");
    for file in snapshots(&scene) {
        std::fs::remove_file(file).unwrap();
    }
    let daemon = scene.home.start().ready();
    daemon.caught_up(|| scene.is_told());
    let kept = daemon.list("/api/v1/alerts").len();
    daemon.stop();
    let tally = scene.tally();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    assert_eq!(kept, 8, "every alert is in the store again");
    row(
        "T28 an old store put back",
        "under snapshots of later",
        &format!(
            "no start; with the snapshots moved away all is read again: lost 0, extra 0 of {}",
            tally.alerts
        ),
    );
}

/// Changes the state inside a snapshot file, whose length and checksum then fit again.
fn reseal(file: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes.truncate(bytes.len() - 32);
    // The length of the body is the header's last number.
    let length = u64::from_le_bytes(bytes[44..52].try_into().unwrap());
    let mut body = bytes.split_off(bytes.len() - usize::try_from(length).unwrap());
    change(&mut body);
    bytes[44..52].copy_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend(body);
    let sum = blake3::hash(&bytes);
    bytes.extend(sum.as_bytes());
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_snapshot_with_a_right_sum_and_half_a_state_is_passed_over() {
    let scene = written("faults-half-state");
    let halve = |body: &mut Vec<u8>| body.truncate(body.len() / 2);
    // An increment first, then a base.
    let newest = snapshots(&scene).pop().unwrap();
    assert!(!is_base(&newest), "{newest:?}");
    reseal(&newest, halve);
    for last in [false, true] {
        let daemon = scene.home.start().ready();
        let log = daemon.log();
        assert!(log.contains("a snapshot cannot be used"), "{log}");
        chained(&scene, &daemon, 2);
        daemon.stop();
        let tally = scene.tally();
        assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
        let files = snapshots(&scene);
        let base = files.iter().rfind(|f| is_base(f)).unwrap();
        match last {
            false => reseal(base, halve),
            true => files.iter().for_each(|file| reseal(file, halve)),
        }
    }
    refuses(&scene, "no snapshot of engine is good");
    row(
        "T28 a snapshot with half a state",
        "under a right checksum: an increment, a base",
        "told, and the one before it is used; no start without a good one",
    );
}

#[test]
fn while_state_is_restored_it_is_alive_and_not_ready_and_says_so() {
    let scene = written("faults-restoring");
    // A pipe in the snapshot's place: it is read for as long as the test wants.
    let newest = snapshots(&scene).pop().unwrap();
    let good = std::fs::read(&newest).unwrap();
    std::fs::remove_file(&newest).unwrap();
    Run::new("mkfifo", &[newest.to_str().unwrap()]).ok();
    let daemon = scene.home.spawn().listening();
    let (status, body) = daemon.get("/readyz");
    assert!(
        status == 503 && body.contains("restoring"),
        "{status} {body}"
    );
    assert_eq!(daemon.get("/healthz").0, 200);
    std::fs::write(&newest, good).unwrap();
    let daemon = daemon.ready();
    daemon.until("the backlog's end", |d| {
        let backlog = d.json("/readyz")["backlog"].as_u64();
        (backlog == Some(0)).then_some(())
    });
    daemon.stop();
    let tally = scene.tally();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
}

#[test]
fn a_snapshot_of_another_version_is_refused_with_what_to_do() {
    let scene = written("faults-version");
    let files = snapshots(&scene);
    let base = files.iter().rfind(|f| is_base(f)).unwrap();
    for file in [base, files.last().unwrap()] {
        let saved = std::fs::read(file).unwrap();
        reseal(file, |body| body[0] += 1);
        refuses(&scene, "use the binary that wrote it");
        std::fs::write(file, saved).unwrap();
    }
    assert_eq!(snapshots(&scene), files, "untouched");
    let tally = scene.recover();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    row(
        "T29 a snapshot of a newer version",
        "a base, an increment",
        "no start, with the text that says which binary; untouched and whole afterwards",
    );
}

#[test]
fn a_row_of_another_version_is_refused_with_what_to_do() {
    if !is_redb("T29 a row of a newer version") {
        return;
    }
    let scene = written("faults-row-version");
    let file = scene.home.file("state/tidegate.redb");
    let before = std::fs::read(&file).unwrap();
    let store = RedbStore::open(&file).unwrap();
    let newer = store::write(&store, |tx| {
        let mut row = None;
        tx.scan(Table::ActiveActions, &Range::all(), &mut |key, value| {
            row = Some((key.to_vec(), String::from_utf8(value.to_vec()).unwrap()));
            Ok(ControlFlow::Break(()))
        })?;
        let (key, value) = row.expect("an action");
        let value = value.replacen("{\"v\":1,", "{\"v\":2,", 1);
        tx.put(Table::ActiveActions, &key, value.as_bytes())?;
        Ok(value)
    });
    assert!(newer.unwrap().starts_with("{\"v\":2,"));
    drop(store);
    refuses(&scene, "run the newer tidegate");
    std::fs::write(&file, before).unwrap();
    let tally = scene.recover();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    row(
        "T29 a row of a newer version",
        "in the store of a daemon that was stopped",
        "no start, with the text that says which binary; untouched and whole afterwards",
    );
}
